/** `prefix`, or `start` and `end`: a range of keys in a query. */
import { rangeBytesMax } from "../kv/command.ts";
import { prefixEnd } from "../kv/key.ts";
import type { KeyRange } from "../kv/ordered-map.ts";
import { badRequest, tooLarge } from "./problem.ts";
import type { Query } from "./target.ts";

/** The parameters that {@link rangeIn} reads. */
export const rangeNames: ReadonlySet<string> = new Set(["prefix", "start", "end"]);

/** Null where the query names none. @throws {Refusal} 400 where it names two, 413 where a bound is too long. */
export function rangeIn(query: Query): KeyRange | null {
  const prefix = query.get("prefix");
  const start = query.get("start");
  const end = query.get("end");
  for (const bound of [prefix, start, end]) {
    if (bound !== null && bound.length > rangeBytesMax) {
      throw tooLarge("a bound of the range", rangeBytesMax);
    }
  }
  if (prefix === null) return start === null && end === null ? null : { start: start ?? "", end };
  if (start !== null || end !== null) {
    throw badRequest("query: prefix does not go with start or end");
  }
  return { start: prefix, end: prefixEnd(prefix) };
}
