/** All that the state machine holds. */
import { Access } from "./access/access.ts";
import { firstVersion } from "./cluster-version.ts";
import { Idempotency } from "./idempotency.ts";
import { Leases } from "./leases.ts";
import { Store } from "./store.ts";
import type { AppliedCounts } from "./usage.ts";

export interface State {
  readonly store: Store;
  readonly leases: Leases;
  readonly idempotency: Idempotency;
  readonly access: Access;
  /** The cluster's time, in milliseconds: the highest that was stamped into a command. */
  time: number;
  /** The cluster's: see `cluster-version.ts`. */
  version: number;
  /** Of this process, and no part of what is replicated. */
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
    applied: {},
  };
}
