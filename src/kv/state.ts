/** All that the state machine holds. */
import { Access } from "./access/access.ts";
import type { Command } from "./command.ts";
import { firstVersion } from "./cluster-version.ts";
import { Idempotency } from "./idempotency.ts";
import { Leases } from "./leases.ts";
import type { Staging } from "./staging.ts";
import { Store } from "./store.ts";

/** Commands that were applied in this life, by their type; what a keyed one holds is counted as well. */
export type AppliedCounts = Partial<Record<Command["type"], number>>;

export interface State {
  readonly store: Store;
  readonly leases: Leases;
  readonly idempotency: Idempotency;
  readonly access: Access;
  /** The cluster's time, in milliseconds: the highest that was stamped into a command. */
  time: number;
  /** The cluster's: see `cluster-version.ts`. */
  version: number;
  /** What has come of a state that is to be restored; null where none is. See `restoring.ts`. */
  staging: Staging | null;
  /** The restore that this state came by; null where it came by none. */
  readonly restored: string | null;
  /** What takes its place before anybody looks again. */
  successor: State | null;
  /** Of this life, and so no part of a snapshot. */
  readonly applied: AppliedCounts;
}

export function newState(): State {
  return {
    store: new Store(),
    leases: new Leases(),
    idempotency: new Idempotency(),
    access: new Access(),
    time: 0,
    version: firstVersion,
    staging: null,
    restored: null,
    successor: null,
    applied: {},
  };
}
