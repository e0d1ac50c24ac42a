/** Replicas in one process over memory ports and the system's clock, for tests of the driver. */
import { sealEntry } from "../../src/adapters/log-record.ts";
import { openMemorySnapshots } from "../../src/adapters/memory-snapshots.ts";
import { createMemoryNetwork, type MemoryNetwork } from "../../src/adapters/memory-transport.ts";
import { type MemoryWal, openMemoryWal } from "../../src/adapters/memory-wal.ts";
import { proposalLimits, raftLimits } from "../../src/config.ts";
import { createSystemClock } from "../../src/adapters/system-clock.ts";
import { encodeCommand } from "../../src/kv/command-codec.ts";
import { keyFromBytes } from "../../src/kv/key.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import type { KvResult } from "../../src/kv/result.ts";
import type { DiskSpace, ReplicaObserver, SnapshotStore, Wal } from "../../src/ports.ts";
import { Replica } from "../../src/replica.ts";

export const silent: ReplicaObserver = {
  roleChanged: () => {},
  persisted: () => {},
  proposalEnded: () => {},
  snapshotWritten: () => {},
  applied: () => {},
  readEnded: () => {},
  snapshotSent: () => {},
  snapshotInstalled: () => {},
};

const wireLimits = {
  bodyBytesMax: 4 * 1024 * 1024,
  records: { payloadBytesMax: 2 * 1024 * 1024, entriesMax: 100_000 },
};
const clock = createSystemClock();
const text = new TextEncoder();

/** A key's text as the store has it. */
export function key(name: string): string {
  return keyFromBytes(text.encode(name));
}

export function put(name: string, value: string): Uint8Array {
  const contentType = "text/plain";
  return encodeCommand({
    type: "put",
    key: key(name),
    value: text.encode(value),
    contentType,
    conditions: [],
  });
}

/** Awaits a condition, looked at every few milliseconds; fails with `what` after 10 s. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = clock.now() + 10_000;
  while (!(await holds())) {
    if (clock.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise<void>((resolve) => void clock.timer(clock.now() + 5, resolve));
  }
}

interface Disk {
  wal: MemoryWal | null;
  readonly snapshots: SnapshotStore;
}

export interface Settings {
  readonly snapshotEntries?: number;
  readonly trailingEntries?: number;
  readonly diskStallMs?: number;
  /** Wraps a node's log, to make it fail. */
  readonly wal?: (id: string, wal: Wal) => Wal;
  readonly observer?: ReplicaObserver;
  /** How full a node's disk is. */
  readonly space?: (id: string) => DiskSpace;
  /** Wraps a node's snapshots, to make them fail. */
  readonly snapshots?: (store: SnapshotStore) => SnapshotStore;
}

export const heartbeatIntervalMs = 20;

export class TestCluster {
  readonly network: MemoryNetwork = createMemoryNetwork({ clock, limits: wireLimits });
  readonly replicas: Map<string, Replica<KvResult>> = new Map();
  readonly #ids: readonly string[];
  readonly #disks = new Map<string, Disk>();
  readonly #settings: Settings;

  constructor(size: number, settings: Settings = {}) {
    this.#ids = Array.from({ length: size }, (_, i) => `n${i + 1}`);
    this.#settings = settings;
  }

  async start(ids: readonly string[] = this.#ids): Promise<void> {
    for (const id of ids) {
      const replica = await this.#open(id);
      this.replicas.set(id, replica);
      this.network.attach(id, replica);
      replica.start();
    }
  }

  /** Opens nodes that are no members, and whose birth is the cluster's. */
  async join(...ids: readonly string[]): Promise<void> {
    await this.start(ids);
  }

  /** As if its process had ended. What was appended to its log stays. */
  async crash(id: string): Promise<void> {
    this.network.detach(id);
    await this.replica(id).stop();
    this.replicas.delete(id);
  }

  async stop(): Promise<void> {
    for (const id of [...this.replicas.keys()]) await this.crash(id);
  }

  replica(id: string): Replica<KvResult> {
    const replica = this.replicas.get(id);
    if (replica === undefined) throw new Error(`${id} is not running`);
    return replica;
  }

  /** Awaits a leader that a majority of those running agrees on. */
  async leader(): Promise<Replica<KvResult>> {
    let found: Replica<KvResult> | undefined;
    await until("a leader is known", () => {
      found = [...this.replicas.values()].find((replica) => replica.status().role === "leader");
      const followers = [...this.replicas.values()].filter((r) => r.status().leader === found?.id);
      const voters = found?.status().configuration.voters.length ?? Infinity;
      return found !== undefined && followers.length > voters / 2;
    });
    return this.replica(found?.id ?? "");
  }

  followers(leader: string): Replica<KvResult>[] {
    return [...this.replicas.values()].filter(({ id }) => id !== leader);
  }

  /** What a node's own store holds under a key. */
  value(id: string, name: string): string | undefined {
    const machine = this.replica(id).machine;
    if (!(machine instanceof KvMachine)) throw new Error("not a KV machine");
    const item = machine.store.get(key(name));
    return item === undefined ? undefined : new TextDecoder().decode(item.value);
  }

  async #open(id: string): Promise<Replica<KvResult>> {
    const disk = this.#disks.get(id) ?? { wal: null, snapshots: openMemorySnapshots() };
    this.#disks.set(id, disk);
    const { wal, recovered } = openMemoryWal({ index: 0, term: 0, crc: 0 }, disk.wal ?? undefined);
    disk.wal = wal;
    const urls = Object.fromEntries(this.#ids.map((peer) => [peer, `http://${peer}`]));
    const { snapshotEntries = 10_000, trailingEntries = 1000, diskStallMs = 10_000, wal: wrap } =
      this.#settings;
    const limits = { ...raftLimits, trailingEntries };
    return await Replica.open<KvResult>({
      options: {
        raft: {
          id,
          electionTimeoutMs: 100,
          heartbeatIntervalMs,
          noticeDelayMs: 5,
          maxClockDrift: 0.1,
          limits,
          random: Math.random,
          seal: sealEntry,
        },
        clusterId: "test",
        birth: { voters: this.#ids, outgoing: [], learners: [], urls },
        snapshotEntries,
        snapshotBytes: 64 * 1024 * 1024,
        proposals: proposalLimits,
        peerTimeoutMs: 100,
        diskStallMs,
      },
      wal: wrap === undefined ? wal : wrap(id, wal),
      recovered,
      snapshots: this.#settings.snapshots?.(disk.snapshots) ?? disk.snapshots,
      space: this.#settings.space?.(id) ?? null,
      transport: this.network.transport(id),
      clock,
      machine: new KvMachine(),
      log: () => {},
      observer: this.#settings.observer ?? silent,
    });
  }
}
