/** What the `data:` of a watch's events holds, as JSON. Each event's `id:` is its revision. */
import * as v from "valibot";
import { base64Mark, bytes, count } from "./common.ts";
import { ItemAnswer } from "./keys.ts";

interface WatchChange {
  /** With `previous=true`: what the key held before, or null. */
  readonly previous?: ItemAnswer | null | undefined;
  /** More events of the same revision follow; one that is read up to here is not complete. */
  readonly more?: true | undefined;
}
const changeEntries = {
  previous: v.optional(v.nullable(ItemAnswer)),
  more: v.optional(v.literal(true)),
};

/** `event: put`: what the key holds since then. */
export interface WatchPut extends ItemAnswer, WatchChange {}
export const WatchPut: v.GenericSchema<unknown, WatchPut> = v.intersect([
  ItemAnswer,
  v.object(changeEntries),
]);

/** `event: delete`: by its client, or because its time or its lease ended. */
export interface WatchDelete extends WatchChange {
  readonly key: string | Uint8Array;
  readonly keyEncoding?: "base64" | undefined;
  /** The one that deleted it. */
  readonly revision: number;
}
export const WatchDelete: v.GenericSchema<unknown, WatchDelete> = v.object({
  key: bytes,
  keyEncoding: v.optional(base64Mark),
  revision: count,
  ...changeEntries,
});

/** `event: progress`: all up to this revision was sent. */
export interface WatchProgress {
  readonly revision: number;
  /** How old this node's state is at most; null before its first contact with a quorum. */
  readonly stalenessMs: number | null;
}
export const WatchProgress: v.GenericSchema<unknown, WatchProgress> = v.object({
  revision: count,
  stalenessMs: v.nullable(count),
});

/** `event: overflow`, the last one: the watcher reads too slowly, and may resume behind this revision. */
export interface WatchOverflow {
  readonly revision: number;
}
export const WatchOverflow: v.GenericSchema<unknown, WatchOverflow> = v.object({
  revision: count,
});

/** `event: refused`, the last one: what it was let in by is no token any more, or its roles don't allow it any more. */
export interface WatchRefused {
  readonly revision: number;
  readonly code: "unauthenticated" | "forbidden";
  readonly detail: string;
}
export const WatchRefused: v.GenericSchema<unknown, WatchRefused> = v.object({
  revision: count,
  code: v.picklist(["unauthenticated", "forbidden"]),
  detail: v.string(),
});
