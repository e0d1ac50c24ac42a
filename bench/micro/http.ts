/** One client request through the Hono app and back, without sockets, consensus or disk. */
import { bench, do_not_optimize, group } from "mitata";
import { createApp } from "../../src/http/app.ts";
import { Metrics } from "../../src/http/metrics.ts";
import type { KvResult } from "../../src/kv/result.ts";
import type { Applied } from "../../src/replica.ts";
import { FakeReplica } from "../../test/http/fixture.ts";
import { KEYS } from "./samples.ts";

/** Applies at once, and keeps no log. */
class InstantReplica extends FakeReplica {
  override propose(command: Uint8Array): Promise<Applied<KvResult>> {
    const result = this.machine.apply({ payload: command });
    return Promise.resolve({ index: 1, term: 1, result });
  }

  override read(): Promise<void> {
    return Promise.resolve();
  }
}

export async function httpBenches(): Promise<void> {
  const replica = new InstantReplica();
  const app = createApp({
    replica,
    machine: replica.machine,
    metrics: new Metrics(),
    ...{ runtime: "bench", version: "0", leaseReads: false },
    now: () => performance.now(),
    log: () => {},
    onDefect: (error) => {
      throw error;
    },
  });
  const value = new Uint8Array(256).fill(1);
  const headers = { "content-length": "256" };
  let at = 0;
  const exchange = async (init: RequestInit): Promise<void> => {
    const url = `http://127.0.0.1:4001/v1/kv/key-${at++ % KEYS}`;
    const response = await app.fetch(new Request(url, init));
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    do_not_optimize(await response.arrayBuffer());
  };
  const put = (): Promise<void> => exchange({ method: "PUT", headers, body: value });
  for (let n = 0; n < KEYS; n++) await put();
  group("HTTP: one request through the Hono app, without sockets", () => {
    bench("make the Request alone", () =>
      do_not_optimize(
        new Request("http://127.0.0.1:4001/v1/kv/key-1", { method: "PUT", headers, body: value }),
      ));
    bench("PUT of 256 bytes", put);
    bench("GET of 256 bytes", () => exchange({}));
  });
}
