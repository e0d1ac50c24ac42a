/** `/v1/kv`: answers about one key, and about ranges. */
import * as v from "valibot";
import { bytes, count } from "./common.ts";

export interface PutAnswer {
  readonly revision: number;
  readonly version: number;
}
export const PutAnswer: v.GenericSchema<unknown, PutAnswer> = v.object({
  revision: count,
  version: count,
});

export interface DeleteAnswer {
  readonly revision: number;
  readonly deleted: number;
}
export const DeleteAnswer: v.GenericSchema<unknown, DeleteAnswer> = v.object({
  revision: count,
  deleted: count,
});

/** An item of a listing. `value` is left out with `values=false`. */
export interface ItemAnswer {
  readonly key: string | Uint8Array;
  readonly value?: string | Uint8Array | undefined;
  readonly encoding?: "base64" | undefined;
  readonly keyEncoding?: "base64" | undefined;
  readonly revision: number;
  readonly created: number;
  readonly version: number;
  readonly contentType: string;
  /** Base64 in JSON. Only where there is some. */
  readonly metadata?: string | Uint8Array | undefined;
  /** The id of the lease that the key is tied to. */
  readonly lease?: string | undefined;
}
export const ItemAnswer: v.GenericSchema<unknown, ItemAnswer> = v.object({
  key: bytes,
  value: v.optional(bytes),
  encoding: v.optional(v.literal("base64")),
  keyEncoding: v.optional(v.literal("base64")),
  revision: count,
  created: count,
  version: count,
  contentType: v.string(),
  metadata: v.optional(bytes),
  lease: v.optional(v.string()),
});

export interface ListAnswer {
  readonly revision: number;
  readonly items: readonly ItemAnswer[];
  /** Opaque; only where more follows. */
  readonly cursor?: string | undefined;
}
export const ListAnswer: v.GenericSchema<unknown, ListAnswer> = v.object({
  revision: count,
  items: v.array(ItemAnswer),
  cursor: v.optional(v.string()),
});
