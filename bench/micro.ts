/** `npm run bench:micro`: the parts alone. Also `bun bench/micro.ts` and `deno run -A bench/micro.ts`. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bench, do_not_optimize, group, run } from "mitata";
import { openFileWal } from "../src/adapters/file-wal.ts";
import { decodeRecords, sealEntry } from "../src/adapters/log-record.ts";
import { NodeFileSystem } from "../src/adapters/node-fs.ts";
import { encodeRequest, peerPaths } from "../src/adapters/peer-wire.ts";
import { createPeerAuthenticator } from "../src/adapters/peer-signature.ts";
import { raftLimits } from "../src/config.ts";
import { decodeCbor, wellFormed } from "../src/cbor.ts";
import { encodeCommand } from "../src/kv/command.ts";
import { KvMachine } from "../src/kv/machine.ts";
import type { Effects, Entry, Message, NodeId, RaftEvent } from "../src/raft/mod.ts";
import { Raft } from "../src/raft/mod.ts";

const BATCH = 64;
const KEYS = 2000;
const COMPACT_EVERY = 10_000;

const commands = Array.from({ length: KEYS }, (_, n) =>
  encodeCommand({
    type: "put",
    key: `key-${n}`,
    value: new Uint8Array(256).fill(n),
    contentType: "application/octet-stream",
    conditions: [],
  }));

/** Three replicas that share a thread, a clock that the loop moves on, and disks that are done at once. */
class Trio {
  readonly #rafts = new Map<NodeId, Raft>();
  #now = 1;
  #id = 0;

  constructor() {
    const ids = ["n1", "n2", "n3"];
    const configuration = { voters: ids, outgoing: [], learners: [], urls: {} };
    for (const [at, id] of ids.entries()) {
      this.#rafts.set(
        id,
        new Raft({
          id,
          electionTimeoutMs: 500 + at * 10_000,
          heartbeatIntervalMs: 50,
          maxClockDrift: 0.1,
          limits: { ...raftLimits, trailingEntries: 100 },
          random: () => 0,
          seal: sealEntry,
        }, {
          hardState: { term: 0, vote: null, commit: 0 },
          snapshot: { index: 0, term: 0, crc: 0, configuration },
          logStart: { index: 0, term: 0, crc: 0 },
          entries: [],
        }),
      );
    }
    for (const id of ids) this.#step(id, { type: "timeout" });
    while (this.leader.role !== "leader") {
      this.#now += 10;
      this.#step("n1", { type: "timeout" });
    }
  }

  get leader(): Raft {
    return this.#raft("n1");
  }

  propose(batch: readonly Uint8Array[]): void {
    this.#now += 0.1;
    this.#step("n1", { type: "propose", id: ++this.#id, commands: batch });
    this.#step("n1", { type: "timeout" });
    const { commit } = this.leader;
    if (commit - this.leader.status().snapshotIndex > COMPACT_EVERY) this.#compact();
  }

  #compact(): void {
    for (const [id, raft] of this.#rafts) {
      const index = raft.status().applied;
      const meta = {
        index,
        term: raft.termAt(index) ?? 0,
        crc: raft.crcAt(index) ?? 0,
        configuration: raft.configurationAt(index),
      };
      this.#step(id, { type: "snapshotted", meta });
    }
  }

  #raft(id: NodeId): Raft {
    const raft = this.#rafts.get(id);
    if (raft === undefined) throw new Error(`there is no ${id}`);
    return raft;
  }

  /** Steps, and then whatever follows from it, until nothing does. */
  #step(id: NodeId, event: RaftEvent): void {
    const queue: [NodeId, RaftEvent][] = [[id, event]];
    for (const [to, next] of queue) {
      const effects = this.#raft(to).step(next, this.#now);
      for (const message of sent(effects)) queue.push([message.to, { type: "receive", message }]);
      if (effects.persist !== null) {
        queue.push([to, { type: "persisted", seq: effects.persist.seq }]);
      }
      const last = effects.apply.at(-1);
      if (last !== undefined) queue.push([to, { type: "applied", index: last.index }]);
    }
  }
}

function sent({ send, persist }: Effects): readonly Message[] {
  return persist === null ? send : [...send, ...persist.sendAfter];
}

function chain(length: number): Entry[] {
  const entries: Entry[] = [];
  let crc = 0;
  for (let index = 1; index <= length; index++) {
    const payload = commands[index % KEYS] ?? new Uint8Array(0);
    const entry = sealEntry({ index, term: 1, kind: "command", payload }, crc);
    entries.push(entry);
    crc = entry.crc;
  }
  return entries;
}

const directory = mkdtempSync(join(tmpdir(), "holdfast-micro-"));
const { wal } = await openFileWal({
  fs: new NodeFileSystem(),
  directory: join(directory, "wal"),
  start: { index: 0, term: 0, crc: 0 },
});

group(`core: ${BATCH} proposals, three replicas, until all have applied them`, () => {
  const trio = new Trio();
  const batch = commands.slice(0, BATCH);
  bench("step", () => trio.propose(batch));
});

group(`log records: ${BATCH} entries of 256 bytes`, () => {
  const entries = chain(BATCH);
  const bytes = new Uint8Array(entries.flatMap(({ record }) => [...record]));
  const limits = { payloadBytesMax: 1 << 20, entriesMax: 1 << 16 };
  bench("seal", () => do_not_optimize(chain(BATCH)));
  bench(
    "decode and check",
    () => do_not_optimize(decodeRecords(bytes, { previousIndex: 0, previousCrc: 0 }, limits)),
  );
});

group("WAL: append and sync", () => {
  let index = 0;
  let crc = 0;
  const next = (count: number): Entry[] =>
    Array.from({ length: count }, () => {
      const payload = commands[index % KEYS] ?? new Uint8Array(0);
      const entry = sealEntry({ index: ++index, term: 1, kind: "command", payload }, crc);
      crc = entry.crc;
      return entry;
    });
  for (const count of [1, BATCH]) {
    bench(`${count} entries of 256 bytes`, async () => {
      await wal.append({ hardState: null, reset: null, truncateFrom: null, entries: next(count) });
      if (index % 1024 < count) await wal.compactBefore(Math.max(1, index - 1024));
    });
  }
});

group("CBOR: a put of 256 bytes", () => {
  const bytes = commands[0] ?? new Uint8Array(0);
  const limits = {
    totalBytesMax: 1 << 20,
    depthMax: 8,
    itemsMax: 1 << 16,
    textBytesMax: 4096,
    byteStringBytesMax: 1 << 20,
  };
  bench("guard", () => wellFormed(bytes, limits));
  bench("guard and decode", () => do_not_optimize(decodeCbor(bytes, limits)));
});

group(`peer message: an append of ${BATCH} entries`, () => {
  const entries = chain(BATCH);
  const secrets = ["a secret that the cluster's members share"];
  const authenticator = createPeerAuthenticator({
    ...{ self: "n1", clusterId: "bench", secrets, wallNow: () => Date.now() },
  });
  const encode = (): Uint8Array =>
    encodeRequest({
      ...{ type: "append", from: "n1", to: "n2", term: 1, id: 1 },
      ...{ previousIndex: 0, previousTerm: 0, previousCrc: 0, commit: 0, entries },
    });
  bench("encode", () => do_not_optimize(encode()));
  const body = encode();
  bench("sign", () => do_not_optimize(authenticator.sealRequest("n2", peerPaths.append, body)));
});

group(`store: ${KEYS} keys`, () => {
  const machine = new KvMachine();
  for (const payload of commands) machine.apply({ payload });
  let at = 0;
  bench("apply a put", () => {
    machine.apply({ payload: commands[at++ % KEYS] ?? new Uint8Array(0) });
  });
  bench("get", () => do_not_optimize(machine.store.get(`key-${at++ % KEYS}`)));
  bench("list 100", () => {
    let left = 100;
    for (const item of machine.store.list({ start: "key-5", end: null })) {
      do_not_optimize(item);
      if (--left === 0) break;
    }
  });
  bench("snapshot", () => {
    for (const chunk of machine.snapshot().chunks()) do_not_optimize(chunk);
  });
});

try {
  await run();
} finally {
  await wal.close();
  rmSync(directory, { recursive: true, force: true });
}
