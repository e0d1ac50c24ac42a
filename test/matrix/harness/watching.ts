/** Watchers of nodes, each over a connection of its own. */
import assert from "node:assert/strict";
import { type ClientRequest, type IncomingMessage, request as send } from "node:http";

/** A stream that says nothing for so long, not even how far it is, is given up. */
const SILENCE_MS_MAX = 30_000;

/** An event of a stream. */
export interface Told {
  readonly id: number;
  readonly event: string;
  readonly data: {
    readonly key?: string;
    readonly value?: string;
    readonly revision: number;
    readonly more?: true;
  };
}

export interface WatchOptions {
  readonly url: string;
  readonly query: string;
  /** The last revision that was seen whole; without it the query says where to begin. */
  readonly behind?: number;
}

/** One stream, from its request to its end. */
export class WatchStream implements Disposable {
  /** Resolves with the status of the answer once its first event is there, or it has none; with 0 without an answer. */
  readonly opened: Promise<number>;
  /** Resolves when there is no more to come; with `overflow` where that was the last. */
  readonly ended: Promise<Told | null>;
  readonly #request: ClientRequest;
  readonly #onEvent: (told: Told) => void;
  #response: IncomingMessage | null = null;
  #received = "";
  #overflow: Told | null = null;
  #open: (status: number) => void = () => {};

  /** `onEvent` hears of changes and of progress. */
  constructor({ url, query, behind }: WatchOptions, onEvent: (told: Told) => void) {
    const { hostname, port } = new URL(url);
    const headers = behind === undefined ? {} : { "last-event-id": String(behind) };
    this.#onEvent = onEvent;
    this.#request = send({
      host: hostname,
      port,
      path: `/v1/watch?${query}`,
      agent: false,
      timeout: SILENCE_MS_MAX,
      headers: { connection: "keep-alive", ...headers },
    });
    this.opened = new Promise((resolve) => this.#open = resolve);
    this.ended = new Promise((resolve) => {
      this.#request.on("timeout", () => this.#request.destroy());
      this.#request.on("error", () => {}).on("close", () => {
        this.#open(this.#response?.statusCode ?? 0);
        resolve(this.#overflow);
      });
    });
    this.#request.on("response", (response) => {
      this.#response = response;
      response.setEncoding("utf8").on("data", (text: string) => this.#take(text));
      response.on("error", () => {});
    });
    this.#request.end();
  }

  /** Stops reading. */
  pause(): void {
    this.#response?.pause();
  }
  resume(): void {
    this.#response?.resume();
  }

  [Symbol.dispose](): void {
    this.#request.destroy();
  }

  #take(text: string): void {
    const status = this.#response?.statusCode ?? 0;
    if (status !== 200) return;
    const events = (this.#received + text).split("\n\n");
    this.#received = events.pop() ?? "";
    for (const event of events) this.#tell(parse(event));
    if (events.length > 0) this.#open(status);
  }

  #tell(told: Told): void {
    if (told.event === "overflow") this.#overflow = told;
    else this.#onEvent(told);
  }
}

function parse(text: string): Told {
  const found = /^id: (\d+)\nevent: ([a-z]+)\ndata: ([^\n]*)$/.exec(text);
  assert.ok(found !== null, `no event: ${JSON.stringify(text.slice(0, 200))}`);
  const [, id = "", event = "", data = ""] = found;
  return { id: Number(id), event, data: JSON.parse(data) };
}
