/** A key and what it holds, as documents show it; see `wire.ts` for what `encoding` and `keyEncoding` say. */
import { type Key, keyToBytes } from "../kv/key.ts";
import type { Item } from "../kv/store.ts";
import { base64Of, textOf, textOfKey } from "./text.ts";
import type { ItemAnswer } from "./wire.ts";

/** A key alone, for JSON. */
export function keyInJson(key: Key): { readonly key: string; readonly keyEncoding?: "base64" } {
  const text = textOfKey(key);
  return text === null ? { key: btoa(key), keyEncoding: "base64" } : { key: text };
}

/** For JSON. Without its value where that is null. */
export function itemInJson(key: Key, item: Item, value: Uint8Array | null): ItemAnswer {
  const { revision, created, version, contentType, metadata } = item;
  const shownKey = keyInJson(key);
  const valueText = value === null ? "" : textOf(value);
  const isText = shownKey.keyEncoding === undefined && valueText !== null;
  return {
    ...shownKey,
    ...(value === null ? {} : { value: isText ? valueText : base64Of(value) }),
    ...(isText ? {} : { encoding: "base64" }),
    revision,
    created,
    version,
    contentType,
    ...(metadata === null ? {} : { metadata: base64Of(metadata) }),
    ...leaseShown(item),
  };
}

/** For CBOR. Without its value where that is null. */
export function itemInCbor(key: Key, item: Item, value: Uint8Array | null): ItemAnswer {
  const { revision, created, version, contentType, metadata } = item;
  return {
    key: keyToBytes(key),
    ...(value === null ? {} : { value }),
    revision,
    created,
    version,
    contentType,
    ...(metadata === null ? {} : { metadata }),
    ...leaseShown(item),
  };
}

function leaseShown({ lease }: Item): Pick<ItemAnswer, "lease"> {
  return lease === null ? {} : { lease: String(lease) };
}
