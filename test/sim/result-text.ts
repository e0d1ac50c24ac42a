/** Results as text that compares. */
import { crc32 } from "node:zlib";
import type { KvResult } from "../../src/kv/result.ts";

/** Bytes count as their length and CRC; why something is malformed doesn't count. */
export function resultText(result: KvResult): string {
  switch (result.type) {
    case "put":
      return `put r${result.revision} v${result.version} c${result.created}`;
    case "deleted":
      return `deleted r${result.revision} ${result.deleted}`;
    case "conditionFailed":
      return `conditionFailed r${result.revision} at ${result.current}`;
    case "malformed":
      return `malformed r${result.revision}`;
    default:
      return plainText(result);
  }
}

/** Plain data as text, whatever the order of its members. */
export function plainText(value: unknown): string {
  if (value instanceof Uint8Array) return `<${value.length} ${crc32(value)}>`;
  if (typeof value === "bigint") return `${value}n`;
  if (Array.isArray(value)) return `[${value.map(plainText).join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "undefined";
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${name}:${plainText(member)}`).join()}}`;
}
