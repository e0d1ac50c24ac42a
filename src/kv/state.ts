/** All that the state machine holds. */
import { firstVersion } from "./cluster-version.ts";
import { Idempotency } from "./idempotency.ts";
import { Leases } from "./leases.ts";
import { Store } from "./store.ts";

export interface State {
  readonly store: Store;
  readonly leases: Leases;
  readonly idempotency: Idempotency;
  /** The cluster's time, in milliseconds: the highest that was stamped into a command. */
  time: number;
  /** The cluster's: see `cluster-version.ts`. */
  version: number;
}

export function newState(): State {
  return {
    store: new Store(),
    leases: new Leases(),
    idempotency: new Idempotency(),
    time: 0,
    version: firstVersion,
  };
}
