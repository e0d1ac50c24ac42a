/** A client before an app in this process, with a network between them that fails as it is told. */
import { connect } from "../../src/client/mod.ts";
import type { Client, ClientFetch, ConnectOptions } from "../../src/client/mod.ts";
import { type Fixture, fixture } from "../http/fixture.ts";
import { refused, reset } from "./fake-fetch.ts";

/** What becomes of a request. */
export type Fault =
  /** No connection comes about. */
  | "refuse"
  /** It breaks before the node has the request. */
  | "drop"
  /** The request is carried out, and the answer lost. */
  | "lose"
  /** It breaks, and the request arrives nevertheless, when {@link World.deliver} is called. */
  | "delay"
  /** The request arrives twice; the second answer is the one that comes. */
  | "duplicate"
  /** Nothing happens until the client gives up. */
  | "hang"
  | null;

/** A request that left. Those for a node's status aren't counted: a client makes them by itself. */
export interface Sent {
  readonly method: string;
  readonly url: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: Headers;
  readonly body: string;
  /** 1 for the first request. */
  readonly number: number;
}

export class World {
  readonly fixture: Fixture = fixture();
  readonly sent: Sent[] = [];
  /** Chosen for each request. */
  fault: (sent: Sent) => Fault = () => null;
  /** Before a request is carried out. */
  before: (sent: Sent) => Promise<void> = () => Promise.resolve();
  readonly #delayed: (() => Promise<unknown>)[] = [];

  client(options: Partial<ConnectOptions> = {}): Client {
    const endpoints = ["http://n1", "http://n2", "http://n3"];
    return connect({ endpoints, fetch: this.fetch, timeoutMs: 5_000, ...options });
  }

  /** Lets arrive what was delayed. */
  async deliver(): Promise<void> {
    for (const arrive of this.#delayed.splice(0)) await arrive();
  }

  readonly fetch: ClientFetch = async (url, init) => {
    const { signal = null } = init;
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => {});
    const answer = this.#carryOut(url, init);
    signal?.addEventListener("abort", () => {
      reject(signal.reason);
      // Nobody is there any more to read it.
      answer.then((response) => response.body?.cancel()).catch(() => {});
    });
    return await Promise.race([answer, promise]);
  };

  async #carryOut(url: string, init: RequestInit): Promise<Response> {
    const target = url.slice(url.indexOf("/", 8));
    const ask = async (): Promise<Response> => await this.fixture.app.request(url, init);
    if (target === "/v1/status") return await ask();
    const sent: Sent = {
      method: init.method ?? "GET",
      url,
      target,
      headers: new Headers(init.headers),
      body: init.body instanceof Uint8Array ? new TextDecoder().decode(init.body) : "",
      number: this.sent.length + 1,
    };
    this.sent.push(sent);
    await this.before(sent);
    const asked = { url, method: sent.method, headers: sent.headers, body: sent.body };
    const fault = this.fault(sent);
    switch (fault) {
      case null:
        return await ask();
      case "duplicate":
        await ask();
        return await ask();
      case "refuse":
        throw refused(asked);
      case "lose":
        await ask();
        throw reset(asked);
      case "delay":
        this.#delayed.push(ask);
        throw reset(asked);
      case "drop":
        throw reset(asked);
      case "hang":
        return await new Promise(() => {});
    }
  }
}

/** What can be awaited, and is resolved from outside. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

/** Numbers that look random, and are the same each time. */
export function draws(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve());
  });
}
