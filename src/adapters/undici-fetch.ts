/**
 * A {@link PeerFetch} over undici's dispatcher, for Node and Deno. It is below `undici.request`, which makes a stream of
 * each response, and far below `fetch`. Under Deno it also sends a request once, where the global `fetch` sends it again
 * when a kept-alive connection breaks (Deno 2.9).
 */
import { Agent, type Dispatcher } from "undici";
import type { PeerFetch, PeerFetchInit, PeerResponse } from "./fetch-transport.ts";
import type { ClientCredentials } from "./tls-files.ts";

export interface UndiciFetch {
  readonly fetch: PeerFetch;
  /** Closes each connection once what is on its way there is answered. */
  readonly retire: () => Promise<void>;
  /** Closes all connections. */
  readonly close: () => Promise<void>;
}

/**
 * Opens as many connections to a peer as there are requests on their way (the transport bounds those); over TLS with
 * these credentials, or with the runtime's own roots.
 */
export function createUndiciFetch(tls: ClientCredentials | null = null): UndiciFetch {
  // The transport has a deadline for the whole of each exchange, so timers for its parts are only cost.
  const dispatcher = new Agent({
    headersTimeout: 0,
    bodyTimeout: 0,
    ...(tls === null ? {} : { connect: connectOptions(tls) }),
  });
  return {
    fetch: (url, init) => post(dispatcher, url, init),
    retire: () => dispatcher.close(),
    close: () => dispatcher.destroy(),
  };
}

/** As `node:tls` takes them. */
export function connectOptions(
  { ca, cert, key }: ClientCredentials,
): Readonly<Record<string, string>> {
  return {
    ...(ca === null ? {} : { ca }),
    ...(cert === null || key === null ? {} : { cert, key }),
  };
}

/**
 * Resolves with the response's head. What is kept of its body until it is asked for is bounded by its `Content-Length`,
 * or else by the caller, who aborts where there is none.
 */
function post(
  dispatcher: Dispatcher,
  url: string,
  { method, headers, body, signal }: PeerFetchInit,
): Promise<PeerResponse> {
  const head = Promise.withResolvers<PeerResponse>();
  const whole = Promise.withResolvers<ArrayBuffer>();
  // Whoever gives up on a response does not ask for its body.
  whole.promise.catch(() => {});
  const pieces: Uint8Array[] = [];
  let abort = (): void => head.reject(signal.reason);
  const onAbort = (): void => abort();
  const path = url.indexOf("/", url.indexOf("://") + 3);
  const request = { origin: url.slice(0, path), path: url.slice(path), method, headers, body };
  if (signal.aborted) return Promise.reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  dispatcher.dispatch(request, {
    onRequestStart: (controller) => {
      abort = () => controller.abort(signal.reason);
      if (signal.aborted) abort();
    },
    onResponseStart: (_, status, given) => {
      const get = (name: string): string | null => {
        const value = given[name];
        return typeof value === "string" ? value : null;
      };
      head.resolve({ status, headers: { get }, arrayBuffer: () => whole.promise });
    },
    onResponseData: (_, piece) => void pieces.push(piece),
    onResponseEnd: () => {
      signal.removeEventListener("abort", onAbort);
      whole.resolve(joined(pieces));
    },
    onResponseError: (_, error) => {
      signal.removeEventListener("abort", onAbort);
      head.reject(error);
      whole.reject(error);
    },
  });
  return head.promise;
}

function joined(pieces: readonly Uint8Array[]): ArrayBuffer {
  const bytes = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes.buffer;
}
