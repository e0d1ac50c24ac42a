/** Three programs in one process: each has an app of its own, with a replica mounted in it, and a server. */
import { Hono } from "hono";
import type { PeerFetch } from "../../src/adapters/fetch-transport.ts";
import { createUndiciFetch } from "../../src/adapters/undici-fetch.ts";
import type { Embedded, Embedding } from "../../src/mod.ts";
import { freePorts } from "../matrix/harness/node-process.ts";
import { serve } from "./server.ts";

/** A program. */
export interface Program<Replica> {
  readonly id: string;
  /** Where the replica is mounted. */
  readonly url: string;
  readonly replica: Replica;
  /** As a process's death: from now on nobody hears from it. */
  kill(): Promise<void>;
  /** Ends it in order. */
  close(): Promise<void>;
}

export interface TrioOptions<Replica extends Embedded> {
  /** The path that replicas are mounted below. */
  readonly base: string;
  readonly open: (options: Embedding) => Promise<Replica>;
  /** Its options beside those that say where it is. */
  readonly options?: (id: string) => Embedding;
}

export const ids = ["n1", "n2", "n3"] as const;

/** Programs on ports of their own, that can be started again. */
export class Trio<Replica extends Embedded> {
  readonly #options: TrioOptions<Replica>;
  readonly #peers: Readonly<Record<string, string>>;
  readonly #programs = new Map<string, Program<Replica>>();

  private constructor(options: TrioOptions<Replica>, firstPort: number) {
    this.#options = options;
    this.#peers = Object.fromEntries(
      ids.map((id, at) => [id, `http://127.0.0.1:${firstPort + at}${options.base}`]),
    );
  }

  static async start<Replica extends Embedded>(
    options: TrioOptions<Replica>,
  ): Promise<Trio<Replica>> {
    const trio = new Trio(options, await freePorts(ids.length));
    await Promise.all(ids.map((id) => trio.start(id)));
    return trio;
  }

  /** Those that run. */
  get programs(): readonly Program<Replica>[] {
    return [...this.#programs.values()];
  }

  at(id: string): Program<Replica> {
    const program = this.#programs.get(id);
    if (program === undefined) throw new Error(`${id} doesn't run`);
    return program;
  }

  async start(id: string): Promise<Program<Replica>> {
    const { base, open, options } = this.#options;
    const url = this.#peers[id] ?? "";
    const cord = new AbortController();
    const replica = await open({
      id,
      peers: this.#peers,
      electionTimeout: 300,
      heartbeatInterval: 30,
      // What was cut off says nothing either.
      fetch: (to, init) => cut(cord.signal, to, init),
      ...options?.(id),
    });
    const app = new Hono();
    app.use("*", async (c, next) => {
      await next();
      c.res.headers.set("x-program", id);
    });
    app.get("/hello", (c) => c.text(`hello from ${id}`));
    app.route(base === "" ? "/" : base, replica.app);
    const stop = await serve(
      Number(new URL(url).port),
      (request, env) => app.fetch(request, env),
    );
    const leave = async (): Promise<void> => {
      this.#programs.delete(id);
      await stop();
    };
    const program = {
      id,
      url,
      replica,
      kill: async () => {
        cord.abort();
        await leave();
        await replica.close();
      },
      close: async () => {
        await replica.close();
        await leave();
      },
    };
    this.#programs.set(id, program);
    return program;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.programs) await program.close();
  }
}

/** As each runtime's own node does. */
const peerFetch: PeerFetch = "Bun" in globalThis ? fetch : createUndiciFetch().fetch;

const cut = async (
  cord: AbortSignal,
  url: string,
  init: Parameters<PeerFetch>[1],
): ReturnType<PeerFetch> => {
  cord.throwIfAborted();
  return await peerFetch(url, { ...init, signal: AbortSignal.any([cord, init.signal]) });
};
