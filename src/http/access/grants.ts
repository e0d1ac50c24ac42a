/** Grants, from what a document says to what a role holds, and back. */
import { type Grant, verbs } from "../../kv/access/grant.ts";
import { type Key, keyToBytes, prefixEnd, rangeOfKey } from "../../kv/key.ts";
import { bareKeyOf, rangeOf } from "../operations.ts";
import { badRequest } from "../problem.ts";
import { textOfKey } from "../text.ts";
import type { GrantFields } from "../wire.ts";

/** @throws {Refusal} 400, 413. */
export function grantOf(fields: GrantFields, at: number): Grant {
  const place = (member: string): string => `body: grants[${at}].${member}`;
  const { key } = fields;
  const range = rangeOf(fields, place);
  if (key !== undefined && range !== null) {
    throw badRequest(`${place("key")}: does not go with prefix, start or end`);
  }
  return {
    verbs: verbs.filter((verb) => fields.verbs.includes(verb)),
    ...(key === undefined
      ? range ?? { start: "", end: null }
      : rangeOfKey(bareKeyOf({ ...fields, key }, place))),
  };
}

/** As short as it can be said. */
export function grantShown({ verbs, start, end }: Grant, wantsCbor: boolean): GrantFields {
  if (end === `${start}\0`) return { verbs, ...keysShown({ key: start }, wantsCbor) };
  if (end !== prefixEnd(start)) {
    return { verbs, ...keysShown(end === null ? { start } : { start, end }, wantsCbor) };
  }
  return start === "" ? { verbs } : { verbs, ...keysShown({ prefix: start }, wantsCbor) };
}

function keysShown(
  keys: Readonly<Partial<Record<"key" | "prefix" | "start" | "end", Key>>>,
  wantsCbor: boolean,
): Omit<GrantFields, "verbs"> {
  const given = Object.entries(keys);
  const shown = (show: (key: Key) => string | Uint8Array) =>
    Object.fromEntries(given.map(([name, key]) => [name, show(key)]));
  if (wantsCbor) return shown(keyToBytes);
  if (given.every(([, key]) => textOfKey(key) !== null)) {
    return shown((key) => textOfKey(key) ?? "");
  }
  return { ...shown(btoa), keyEncoding: "base64" };
}
