/** A replica as the product assembles it, with somebody looking on at each of its ports. */
import type { DataDirectory } from "../../src/adapters/data-directory.ts";
import type { KvMachine } from "../../src/kv/machine.ts";
import type { KvResult } from "../../src/kv/result.ts";
import type { Clock, DiskSpace, ReplicaObserver, Transport } from "../../src/ports.ts";
import { Replica } from "../../src/replica.ts";
import type { Decay } from "./decay.ts";
import type { Simulation } from "./simulation.ts";
import type { SimDisk } from "./disk.ts";
import type { Settings, SimOptions } from "./options.ts";
import type { Probe } from "./probes.ts";
import type { ReleaseProcess } from "./releases.ts";
import { replicaOptions } from "./replica-options.ts";
import { type Watch, WatchedMachine, WatchedSnapshots, WatchedWal } from "./watched.ts";

export interface AssemblyParts {
  readonly sim: Simulation;
  readonly settings: Settings;
  readonly storage: DataDirectory;
  readonly disk: SimDisk;
  readonly watch: Watch;
  readonly decay: Decay;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: () => number;
  readonly observer: ReplicaObserver;
  readonly release: ReleaseProcess;
}

export async function assemble(
  parts: AssemblyParts,
): Promise<{ readonly replica: Replica<KvResult>; readonly machine: KvMachine }> {
  const {
    sim,
    settings,
    storage,
    disk,
    watch,
    decay,
    transport,
    clock,
    random,
    observer,
    release,
  } = parts;
  const machine = release.machine({ history: settings.history });
  const snapshots = new WatchedSnapshots(storage.snapshots, machine, watch);
  const replica = await Replica.open<KvResult>({
    options: replicaOptions(sim.options, settings, { id: watch.id, birth: sim.birth, random }),
    wal: new WatchedWal(storage.wal, storage, watch),
    recovered: storage.recovered,
    snapshots,
    debt: decay.watched(storage.debt, watch),
    space: spaceOf(sim.options, disk),
    transport,
    clock,
    machine: new WatchedMachine(machine, snapshots, watch),
    log: (_level, message) => {
      if (watch.alive() && message.startsWith("the disk")) watch.probes.reached(probeOf(message));
    },
    observer,
  });
  release.attach(replica);
  return { replica, machine };
}

function spaceOf(
  { faults, diskReserveBytes: reserveBytes }: SimOptions,
  disk: SimDisk,
): DiskSpace | null {
  if (!faults.has("fullDisk") || reserveBytes === 0) return null;
  return { free: () => disk.space("/data"), reserveBytes };
}

function probeOf(message: string): Probe {
  if (message.includes("read-only")) return "disk almost full";
  return message.includes("is full") ? "disk full before a write failed" : "disk has room again";
}
