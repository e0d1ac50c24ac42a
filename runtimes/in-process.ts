/** `fetch` without a network: a client's requests, handed to a handler in this process. */
import type { ClientFetch } from "../src/client/mod.ts";
import { fromInside } from "../src/http/access/gate.ts";
import type { Handler } from "./door.ts";

/** What stands for a node's URL. */
export const IN_PROCESS_URL = "http://holdfast.in-process";

/**
 * A `fetch` of URLs below {@link IN_PROCESS_URL}. The handler is given the target as the client wrote it: a URL's parser
 * would resolve a key's `.` and `..`. An abort ends the waiting and the stream of an answer, as a connection's end would;
 * what was asked for goes on.
 */
export function fetchInProcess(handle: Handler): ClientFetch {
  return async (url, init) => {
    const { signal = null } = init;
    signal?.throwIfAborted();
    const target = { incoming: { url: url.slice(IN_PROCESS_URL.length) }, origin: fromInside };
    const answer = handle(new Request(url, init), target);
    const response = signal === null ? await answer : await unlessAborted(answer, signal);
    const { body, headers, status } = response;
    // Whatever is whole is there already; a stream has to end when nobody reads it any more.
    if (signal === null || body === null || !isStream(headers)) return response;
    const readable = body.pipeThrough(new TransformStream<Uint8Array, Uint8Array>(), { signal });
    return new Response(readable, { status, headers });
  };
}

function isStream(headers: Headers): boolean {
  return headers.get("content-type")?.startsWith("text/event-stream") === true;
}

async function unlessAborted(answer: Promise<Response>, signal: AbortSignal): Promise<Response> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([answer, aborted.promise]);
  } catch (error) {
    // Where it comes after all, nobody is there to read it.
    answer.then((response) => response.body?.cancel()).catch(() => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
