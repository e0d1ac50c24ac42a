/**
 * Where a listing goes on. A cursor is base64url of
 *
 *     1 | flags (1: reverse, 2: has an end) | length of start (u16, big-endian) | start | end
 *
 * and holds what is left of the range: it is enough by itself, and it is refused where the request names another one.
 */
import { rangeBytesMax } from "../kv/command.ts";
import type { Key } from "../kv/key.ts";
import type { ListRange } from "../kv/store.ts";
import { base64UrlOf, fromBase64Url } from "./text.ts";

const version = 1;
const headBytes = 4;
const charactersMax = Math.ceil((headBytes + 2 * rangeBytesMax) * 4 / 3);

/** The cursor behind `last`, the last key that was shown of `range`. */
export function cursorBehind(last: Key, range: ListRange): string {
  const reverse = range.reverse === true;
  const start = reverse ? range.start : `${last}\x00`;
  const end = reverse ? last : range.end;
  const flags = (reverse ? 1 : 0) | (end === null ? 0 : 2);
  const head = String.fromCharCode(version, flags, start.length >> 8, start.length & 0xff);
  return base64UrlOf(head + start + (end ?? ""));
}

/** What is left of the range that `cursor` was given for, or null where it was given for none. */
export function rangeOfCursor(cursor: string): ListRange | null {
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
  return { start, end: hasEnd ? end : null, reverse: (flags & 1) !== 0 };
}

/** Whether `rest` can be what is left of `whole`. */
export function isRestOf(rest: ListRange, whole: ListRange): boolean {
  if (rest.reverse === true) {
    return rest.start === whole.start && rest.end !== null &&
      (whole.end === null || rest.end <= whole.end);
  }
  return rest.end === whole.end && rest.start >= whole.start;
}
