/** The replica's ports with somebody looking on. What a process does after its end is not looked at. */
import type { DataDirectory } from "../../src/adapters/data-directory.ts";
import type { KvMachine } from "../../src/kv/machine.ts";
import type { KvResult } from "../../src/kv/result.ts";
import type {
  SnapshotFile,
  SnapshotStore,
  StagedSnapshot,
  StateMachine,
  StateSnapshot,
  Wal,
  WalWrite,
} from "../../src/ports.ts";
import type { Entry, SnapshotMeta } from "../../src/raft/types.ts";
import { persistText } from "../raft/notation.ts";
import type { Oracles } from "./oracles.ts";
import type { Probes } from "./probes.ts";

/** One life of one node. */
export interface Watch {
  readonly id: string;
  readonly oracles: Oracles;
  readonly probes: Probes;
  readonly alive: () => boolean;
  readonly note: (text: () => string) => void;
  /** A snapshot is about to take the place of a state at `revision`. */
  readonly onRestore: (revision: number) => void;
}

export class WatchedWal implements Wal {
  readonly #inner: Wal;
  readonly #watch: Watch;

  constructor(inner: Wal, { recovered, debt }: DataDirectory, watch: Watch) {
    this.#inner = inner;
    this.#watch = watch;
    if (debt === null) watch.oracles.recovered(watch.id, recovered);
    else watch.oracles.repairing(watch.id, recovered);
  }

  append(write: WalWrite): Promise<void> {
    const { id, oracles, alive, note } = this.#watch;
    if (!alive()) return this.#inner.append(write);
    oracles.walBegun(id, write);
    note(() => `writes ${persistText({ ...write, seq: 0, sendAfter: [] })}`);
    return this.#inner.append(write).then(() => {
      if (alive()) oracles.log(id).completed();
    });
  }

  async compactBefore(index: number): Promise<void> {
    const { id, oracles, alive, note, probes } = this.#watch;
    if (alive()) {
      note(() => `compacts before ${index}`);
      probes.reached("log compacted");
      oracles.log(id).compactBefore(index);
      oracles.duties(id).compacted(oracles.log(id).writing);
    }
    await this.#inner.compactBefore(index);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

export class WatchedMachine implements StateMachine<KvResult> {
  readonly #inner: KvMachine;
  readonly #snapshots: SnapshotStore;
  readonly #watch: Watch;

  constructor(inner: KvMachine, snapshots: SnapshotStore, watch: Watch) {
    this.#inner = inner;
    this.#snapshots = snapshots;
    this.#watch = watch;
  }

  apply(entry: Entry): KvResult {
    const { id, oracles, alive } = this.#watch;
    const result = this.#inner.apply(entry);
    if (!alive()) return result;
    oracles.applied(id, entry, result);
    oracles.state(id, entry.index, this.#inner, "sometimes");
    oracles.onState(id);
    return result;
  }

  snapshot(): StateSnapshot {
    return this.#inner.snapshot();
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { id, oracles, alive, note, probes, onRestore } = this.#watch;
    if (alive()) onRestore(this.#inner.store.revision);
    await this.#inner.restore(chunks);
    const meta = this.#snapshots.latest();
    if (!alive() || meta === null) return;
    probes.reached("recovered with a snapshot");
    note(() => `restores ${meta.index}@${meta.term}`);
    oracles.state(id, meta.index, this.#inner, "always");
    oracles.onState(id);
  }

  isFrugal(command: Uint8Array): boolean {
    return this.#inner.isFrugal(command);
  }

  get housekeeping(): KvMachine["housekeeping"] {
    return this.#inner.housekeeping;
  }

  encodeResult(result: KvResult): Uint8Array {
    return this.#inner.encodeResult(result);
  }

  decodeResult(bytes: Uint8Array): KvResult {
    return this.#inner.decodeResult(bytes);
  }
}

export class WatchedSnapshots implements SnapshotStore {
  readonly #inner: SnapshotStore;
  readonly #machine: KvMachine;
  readonly #watch: Watch;

  constructor(inner: SnapshotStore, machine: KvMachine, watch: Watch) {
    this.#inner = inner;
    this.#machine = machine;
    this.#watch = watch;
  }

  latest(): SnapshotMeta | null {
    return this.#inner.latest();
  }

  /** The machine's state is `meta`'s when this is called. */
  write(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { id, oracles, alive, note, probes } = this.#watch;
    if (alive()) {
      probes.reached("snapshot taken");
      note(() => `snapshots ${meta.index}@${meta.term}`);
      oracles.snapshot(id, meta);
      oracles.state(id, meta.index, this.#machine, "always");
    }
    const written = this.#inner.write(meta, chunks);
    // Beside what goes on from it: whoever looks on must not make anything come a tick later.
    written.then(() => {
      if (alive()) oracles.duties(id).snapshotted(meta.index);
    }, () => {});
    return written;
  }

  read(): AsyncIterable<Uint8Array> {
    return this.#inner.read();
  }

  openFile(): Promise<SnapshotFile | null> {
    return this.#inner.openFile();
  }

  stage(
    identity: { readonly index: number; readonly term: number; readonly size: number },
  ): Promise<StagedSnapshot> {
    return this.#inner.stage(identity);
  }

  async install(meta: SnapshotMeta): Promise<void> {
    await this.#inner.install(meta);
    if (this.#watch.alive()) this.#watch.probes.reached("snapshot installed");
  }
}
