/** What a node replicates, and what its HTTP interface stands on. */
import type { NodeConfig } from "../src/config.ts";
import { NotApplied } from "../src/errors.ts";
import { type AppOptions, type ReplicaView, WatchHub } from "../src/http/app.ts";
import { defaultHttpLimits } from "../src/http/limits.ts";
import { KvMachine } from "../src/kv/machine.ts";
import type { KvResult } from "../src/kv/result.ts";
import type { StateMachine } from "../src/ports.ts";
import type { Versions } from "./versions.ts";

/** A state machine, and how it is seen over HTTP. */
export interface Service<Result> {
  readonly machine: StateMachine<Result>;
  /** What an app over a replica of it is made of. */
  readonly http: (
    replica: ReplicaView<Result>,
  ) => Pick<AppOptions, "replica" | "machine" | "watchers"> & {
    readonly routes: "all" | "cluster";
  };
  /** What backups are taken of; null where there is none. */
  readonly store: KvMachine | null;
  /** Ends the answers that would last. */
  readonly stop: () => void;
}

/** The key-value store as a node's options have it, of a version that `versions` lets rise. */
export function kvMachineOf(
  { historyRevisions, historyBytes }: NodeConfig,
  versions: Pick<Versions, "spokenByAll">,
): KvMachine {
  return new KvMachine({
    history: { revisionsMax: historyRevisions, bytesMax: historyBytes },
    spokenByAll: () => versions.spokenByAll(),
  });
}

/** The key-value store. */
export function kvService(machine: KvMachine): Service<KvResult> {
  let latest: ReplicaView | null = null;
  const stalenessMs = (): number | null => latest?.stalenessMs() ?? null;
  const watchers = new WatchHub(machine, stalenessMs, defaultHttpLimits);
  return {
    machine,
    store: machine,
    http: (replica) => {
      latest = replica;
      return { replica, machine, watchers, routes: "all" };
    },
    stop: () => watchers.stop(),
  };
}

/** A machine of one's own: over HTTP there are members, status and peers, and a store that stays empty. */
export function ownService<Result>(machine: StateMachine<Result>): Service<Result> {
  const store = new KvMachine();
  return {
    machine,
    store: null,
    http: (replica) => ({ replica: withoutCommands(replica), machine: store, routes: "cluster" }),
    stop: () => {},
  };
}

function withoutCommands<Result>(replica: ReplicaView<Result>): ReplicaView {
  return {
    id: replica.id,
    get term() {
      return replica.term;
    },
    propose: () => Promise.reject(new NotApplied("not_ready", "this replica holds no keys")),
    read: (level, timeoutMs) => replica.read(level, timeoutMs),
    time: () => replica.time(),
    stalenessMs: () => replica.stalenessMs(),
    status: () => replica.status(),
    entries: (from, limit) => replica.entries(from, limit),
    health: () => replica.health(),
    members: () => replica.members(),
    changeMembers: (request, timeoutMs) => replica.changeMembers(request, timeoutMs),
    transferLeadership: (target, timeoutMs) => replica.transferLeadership(target, timeoutMs),
  };
}
