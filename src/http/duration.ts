/** Durations as they are written: an amount and a unit, like `500ms`, `30s`, `5m`, `1h` or `7d`. */
import { ttlMsMax } from "../kv/command.ts";
import { badRequest } from "./problem.ts";

const units: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

/** Milliseconds; null where `text` is none. */
export function durationMs(text: string): number | null {
  const [, amount = "", unit = ""] = /^(\d{1,9})(ms|[smhd])$/.exec(text) ?? [];
  const scale = units.get(unit);
  return scale === undefined ? null : Number(amount) * scale;
}

/**
 * How long something is to live, in milliseconds.
 * @param where what `text` is, for the error.
 * @throws {Refusal} 400
 */
export function ttlMsOf(text: string, where: string): number {
  const ms = durationMs(text);
  if (ms !== null && ms >= 1 && ms <= ttlMsMax) return ms;
  throw badRequest(`${where} takes a duration from 1ms to ${ttlMsMax / 86_400_000}d`);
}
