/** The web framework alone, served by `bare-hono.ts` in a process of its own. */
import { join } from "node:path";
import { HttpClient } from "../test/matrix/harness/http-client.ts";
import {
  freePort,
  root,
  RunningProcess,
  type RuntimeName,
} from "../test/matrix/harness/node-process.ts";
import { fillOverHttp, readOverHttp } from "./holdfast.ts";
import { forget, type KeySpace, remember, type System } from "./system.ts";
import type { Driver } from "./bulk.ts";
import { type Measured, nextStamp, type Work } from "./workload.ts";
import { Written, wroteOf } from "./written.ts";

export class BareHono implements System {
  readonly label: string;
  readonly written: Written = new Written();
  readonly #url: string;
  readonly #drive: Driver;
  readonly #process: RunningProcess;
  readonly #http = new HttpClient();

  private constructor(label: string, url: string, drive: Driver, process: RunningProcess) {
    this.label = label;
    this.#url = url;
    this.#drive = drive;
    this.#process = process;
  }

  static async start(runtime: RuntimeName, drive: Driver): Promise<BareHono> {
    const port = await freePort();
    const binary = join(root, "node_modules/.bin", runtime);
    const prefix = runtime === "deno" ? ["run", "--allow-all"] : [];
    const script = join(root, "bench/bare-hono.ts");
    const process = new RunningProcess([binary, ...prefix, script, runtime, String(port)]);
    const hono = new BareHono(`Hono, ${runtime}`, `http://127.0.0.1:${port}`, drive, process);
    remember(hono);
    try {
      await process.firstLine();
      return hono;
    } catch (error) {
      await hono[Symbol.asyncDispose]();
      throw error;
    }
  }

  pids(): readonly number[] {
    return [this.#process.pid];
  }

  async measure(work: Work): Promise<Measured> {
    const measured = await this.#drive(this.#url, work);
    if (work.method === "PUT") {
      this.written.add({ ...work, wrote: wroteOf(work.keys, measured) });
    }
    return measured;
  }

  async fill({ from = 0, keys, valueBytes }: KeySpace): Promise<void> {
    const stamp = nextStamp();
    await fillOverHttp(this.#url, { from, keys, valueBytes }, stamp);
    this.written.add({ stamp, valueBytes, wrote: { type: from === 0 ? "all" : "some", keys } });
  }

  async read(key: string): Promise<readonly (string | null)[]> {
    return [await readOverHttp(this.#http, this.#url, key)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    forget(this);
    this.#http.close();
    this.#process.signal("SIGKILL");
    await this.#process.ended;
  }
}
