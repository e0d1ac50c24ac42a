/**
 * Where a listing goes on. A cursor is base64url of
 *
 *     2 | flags (1: reverse, 2: has an end) | length of start (u16) | revision (u64) | start | end
 *
 * with integers big-endian. It holds what is left of the range, and the revision that the listing's first page was of:
 * it is enough by itself, and it is refused where the request names another range or revision.
 */
import { rangeBytesMax } from "../kv/command.ts";
import type { Key } from "../kv/key.ts";
import type { ListRange } from "../kv/store.ts";
import { base64UrlOf, fromBase64Url } from "./text.ts";

const version = 2;
const revisionAt = 4;
const headBytes = 12;
const charactersMax = Math.ceil((headBytes + 2 * rangeBytesMax) * 4 / 3);

/** What is left of a listing. */
export interface ListingRest {
  readonly range: ListRange;
  readonly revision: number;
}

/** The cursor behind `last`, the last key that was shown of a listing. */
export function cursorBehind(last: Key, { range, revision }: ListingRest): string {
  const reverse = range.reverse === true;
  const start = reverse ? range.start : `${last}\x00`;
  const end = reverse ? last : range.end;
  const flags = (reverse ? 1 : 0) | (end === null ? 0 : 2);
  const head = String.fromCharCode(version, flags, start.length >> 8, start.length & 0xff);
  return base64UrlOf(head + revisionText(revision) + start + (end ?? ""));
}

/** What is left of the listing that `cursor` was given for, or null where it was given for none. */
export function restOfCursor(cursor: string): ListingRest | null {
  if (cursor.length > charactersMax) return null;
  const bytes = fromBase64Url(cursor);
  if (bytes === null || bytes.length < headBytes || bytes.charCodeAt(0) !== version) return null;
  const flags = bytes.charCodeAt(1);
  const behindStart = headBytes + bytes.charCodeAt(2) * 256 + bytes.charCodeAt(3);
  const start = bytes.slice(headBytes, behindStart);
  const end = bytes.slice(behindStart);
  if (flags > 3 || bytes.length < behindStart) return null;
  if (start.length > rangeBytesMax || end.length > rangeBytesMax) return null;
  const hasEnd = (flags & 2) !== 0;
  if (!hasEnd && end.length > 0) return null;
  const revision = revisionIn(bytes);
  if (!Number.isSafeInteger(revision)) return null;
  return { range: { start, end: hasEnd ? end : null, reverse: (flags & 1) !== 0 }, revision };
}

function revisionText(revision: number): string {
  let text = "";
  for (let rest = revision; text.length < headBytes - revisionAt; rest = Math.floor(rest / 256)) {
    text = String.fromCharCode(rest % 256) + text;
  }
  return text;
}

function revisionIn(bytes: string): number {
  let revision = 0;
  for (let at = revisionAt; at < headBytes; at++) revision = revision * 256 + bytes.charCodeAt(at);
  return revision;
}

/** Whether `rest` can be what is left of `whole`. */
export function isRestOf(rest: ListRange, whole: ListRange): boolean {
  if (rest.reverse === true) {
    return rest.start === whole.start && rest.end !== null &&
      (whole.end === null || rest.end <= whole.end);
  }
  return rest.end === whole.end && rest.start >= whole.start;
}
