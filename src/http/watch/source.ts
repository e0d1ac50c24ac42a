/** What is watched: the part of a `KvMachine` that the hub stands on. */
import type { Store } from "../../kv/store.ts";

/** Changes behind `floor` are kept, up to `revision`. */
export type ChangeLog = Pick<Store, "revision" | "floor" | "change">;

/** `KvMachine` is one. */
export interface WatchSource {
  /** Another one after each restore. */
  readonly store: ChangeLog;
  /** Calls `listener` whenever the store's revision has changed. Returns what ends that. */
  watch(listener: () => void): () => void;
  /** The same for roles and tokens. */
  watchAccess(listener: () => void): () => void;
}
