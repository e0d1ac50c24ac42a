/** A replica as the product assembles it, with somebody looking on at each of its ports. */
import type { DataDirectory } from "../../src/adapters/data-directory.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import type { KvResult } from "../../src/kv/result.ts";
import type { Clock, ReplicaObserver, Transport } from "../../src/ports.ts";
import { Replica } from "../../src/replica.ts";
import type { Decay } from "./decay.ts";
import type { Simulation } from "./simulation.ts";
import type { Settings } from "./options.ts";
import { replicaOptions } from "./replica-options.ts";
import { type Watch, WatchedMachine, WatchedSnapshots, WatchedWal } from "./watched.ts";

export interface AssemblyParts {
  readonly sim: Simulation;
  readonly settings: Settings;
  readonly storage: DataDirectory;
  readonly watch: Watch;
  readonly decay: Decay;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: () => number;
  readonly observer: ReplicaObserver;
}

export async function assemble(
  { sim, settings, storage, watch, decay, transport, clock, random, observer }: AssemblyParts,
): Promise<{ readonly replica: Replica<KvResult>; readonly machine: KvMachine }> {
  const machine = new KvMachine({ history: settings.history });
  const snapshots = new WatchedSnapshots(storage.snapshots, machine, watch);
  const replica = await Replica.open<KvResult>({
    options: replicaOptions(sim.options, settings, { id: watch.id, birth: sim.birth, random }),
    wal: new WatchedWal(storage.wal, storage, watch),
    recovered: storage.recovered,
    snapshots,
    debt: decay.watched(storage.debt, watch),
    transport,
    clock,
    machine: new WatchedMachine(machine, snapshots, watch),
    log: () => {},
    observer,
  });
  return { replica, machine };
}
