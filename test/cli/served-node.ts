/** A node of its own, in memory, and command lines that ask it. */
import assert from "node:assert/strict";
import { type Ended, freePort, runBatch, type Running, startCli, startNode } from "./processes.ts";

export class ServedNode {
  readonly url: string;
  readonly #node: Running;
  readonly #begun: Running[] = [];

  private constructor(url: string, node: Running) {
    this.url = url;
    this.#node = node;
  }

  static async start(...flags: readonly string[]): Promise<ServedNode> {
    const port = await freePort();
    const node = startNode(["--listen", `127.0.0.1:${port}`, "--storage", "memory", ...flags]);
    await node.line(/listening/);
    return new ServedNode(`http://127.0.0.1:${port}`, node);
  }

  /** Ends it, and whatever was begun and hasn't ended. */
  async stop(): Promise<void> {
    for (const each of this.#begun) each.kill("SIGKILL");
    await this.die();
  }

  /** Ends the node alone. */
  async die(): Promise<void> {
    this.#node.kill("SIGKILL");
    await this.#node.ended;
  }

  /** Starts a command as a process of its own. */
  begin(args: readonly string[], input = ""): Running {
    const running = startCli(args, { input, env: { HOLDFAST_ENDPOINTS: this.url } });
    this.#begun.push(running);
    return running;
  }

  /** Runs command lines, one after the other. */
  all(...lines: readonly (readonly string[])[]): Promise<readonly Ended[]> {
    return runBatch(lines, { HOLDFAST_ENDPOINTS: this.url });
  }

  /** What each printed, where all succeed; their words are parted by single spaces. */
  async ok(...lines: readonly string[]): Promise<readonly string[]> {
    const ended = await this.all(...lines.map((line) => line.split(" ")));
    for (const [at, { status, stderr }] of ended.entries()) {
      assert.equal(status, 0, `${lines[at]}: ${stderr}`);
    }
    return ended.map(({ stdout }) => stdout);
  }
}
