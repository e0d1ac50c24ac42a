/** What of a call's options goes into a request. */
import type { CallOptions, ReadOptions } from "./options.ts";

/** Parameters of a read's query. */
export function readParameters(options: ReadOptions): Record<string, string> {
  const { consistency, maxStaleMs, revision } = options;
  return {
    ...(consistency === undefined ? {} : { consistency }),
    ...(maxStaleMs === undefined ? {} : { max_stale: `${maxStaleMs}ms` }),
    ...(revision === undefined ? {} : { revision: String(revision) }),
  };
}

/** The options that every call takes. */
export function signalOf({ signal }: CallOptions): CallOptions {
  return signal === undefined ? {} : { signal };
}
