/** What a scrape reads of a node at that moment: each of it is at hand, however many keys there are. */
import type { KvUsage } from "../../kv/usage.ts";
import type { MembersView } from "../../ports.ts";
import type { ReplicaStatus } from "../../replica.ts";
import type { WatchHub } from "../watch/hub.ts";

export interface MetricsSource {
  readonly status: ReplicaStatus;
  readonly members: MembersView;
  /** Null before the first contact with a quorum. */
  readonly stalenessMs: number | null;
  /** Of the store. */
  readonly revision: number;
  /** The cluster's. */
  readonly version: number;
  /** The past can be read from this revision on. */
  readonly floor: number;
  readonly usage: KvUsage;
  readonly watchers: Pick<WatchHub, "size" | "queuedBytes" | "handedBytes" | "cutOff">;
  /** Requests of clients that are open, and what their bodies may come to. */
  readonly open: { readonly requests: number; readonly arrivingBytes: number };
  /** Monotonic milliseconds, on the replica's scale. */
  readonly now: number;
}
