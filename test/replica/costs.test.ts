/**
 * What an operation costs, in counts, which are the same on every machine: how long it takes is the bench's business.
 * A change that makes one of these grow makes all of it slower.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openFileWal } from "../../src/adapters/file-wal.ts";
import { sealEntry } from "../../src/adapters/log-record.ts";
import { MemoryFileSystem } from "../../src/adapters/memory-fs.ts";
import { encodeRequest } from "../../src/adapters/peer-wire.ts";
import type { PeerHandler, Wal, WalWrite } from "../../src/ports.ts";
import type { RequestMessage } from "../../src/raft/message.ts";
import type { Entry } from "../../src/raft/types.ts";
import { Cluster } from "../raft/cluster.ts";
import { heartbeatIntervalMs, put, TestCluster } from "./cluster.ts";

const batch = 64;
const value = "x".repeat(256);
const commands = Array.from({ length: batch }, (_, i) => put(`key-${100 + i}`, value));
/** What a put has to carry: its key and value. */
const payload = "key-100".length + value.length;

/** Three nodes whose leader has one command applied everywhere; then all that is written and said is counted. */
async function counted(
  act: (leader: Awaited<ReturnType<TestCluster["leader"]>>) => Promise<void>,
): Promise<{ readonly writes: Map<string, WalWrite[]>; readonly messages: RequestMessage[] }> {
  const writes = new Map<string, WalWrite[]>();
  const messages: RequestMessage[] = [];
  const cluster = new TestCluster(3, {
    wal: (id, wal): Wal => ({
      append: (write) => {
        writes.set(id, [...writes.get(id) ?? [], write]);
        return wal.append(write);
      },
      compactBefore: (index) => wal.compactBefore(index),
      close: () => wal.close(),
    }),
  });
  await cluster.start();
  try {
    const leader = await cluster.leader();
    await leader.propose(put("a", "1"), 2000);
    for (const follower of cluster.followers(leader.id)) await follower.read("linearizable", 2000);
    for (const [id, replica] of cluster.replicas) {
      const counting: PeerHandler = {
        receive: (message) => {
          messages.push(message);
          return replica.receive(message);
        },
        forwarded: (command, timeoutMs) => replica.forwarded(command, timeoutMs),
        managed: (request, timeoutMs) => replica.managed(request, timeoutMs),
        receiveChunk: (chunk) => replica.receiveChunk(chunk),
      };
      cluster.network.attach(id, counting);
    }
    writes.clear();
    await act(leader);
    for (const follower of cluster.followers(leader.id)) await follower.read("linearizable", 2000);
  } finally {
    await cluster.stop();
  }
  return { writes, messages };
}

function entriesOf(found: readonly { readonly entries: readonly Entry[] }[]): number[] {
  return found.map(({ entries }) => entries.length).filter((count) => count > 0);
}

describe("what operations cost", () => {
  it("the writes of one turn are one log write on each node, and one message to each peer", async () => {
    const { writes, messages } = await counted(async (leader) => {
      await Promise.all(commands.map((command) => leader.propose(command, 2000)));
    });
    const lengths = [...writes.values()].map((found) => found.map(({ entries }) => entries.length));
    assert.deepEqual(lengths, [[batch], [batch], [batch]]);
    const appends = messages.filter((message) => message.type === "append");
    assert.deepEqual(entriesOf(appends), [batch, batch]);
    assert(appends.length <= 4, `${appends.length} appends, where two more tell of the commit`);
  });

  it("an entry is encoded once: the disk and all peers are given the same bytes", () => {
    const cluster = new Cluster({ voters: ["a", "b", "c"] });
    cluster.elect("a");
    const { persist, send } = cluster.propose("a", "x=1");
    const [written] = persist?.entries ?? [];
    const sent = send.flatMap((message) => message.type === "append" ? message.entries : []);
    assert.equal(sent.length, 2);
    for (const { record } of sent) assert.equal(record, written?.record);
  });

  it("reads of one turn share a round of heartbeats with those that would be sent anyway", async () => {
    let startedAt = 0;
    const { messages } = await counted(async (leader) => {
      startedAt = performance.now();
      await Promise.all(commands.map(() => leader.read("linearizable", 2000)));
    });
    const timed = Math.ceil((performance.now() - startedAt) / heartbeatIntervalMs);
    const rounds = new Set(messages.flatMap((m) => m.type === "heartbeat" ? [m.round] : []));
    assert(rounds.size <= timed + 4, `${rounds.size} rounds for ${batch} reads, ${timed} timed`);
  });

  it("a put takes at most 64 bytes beside its key and value, on the wire and on the disk", async () => {
    const entries: Entry[] = [];
    for (const [i, command] of commands.entries()) {
      const draft = { index: i + 1, term: 1, kind: "command", payload: command } as const;
      entries.push(sealEntry(draft, entries.at(-1)?.crc ?? 0));
    }
    const envelope = { from: "n1", to: "n2", id: 1, term: 1, commit: 0 };
    const previous = { previousIndex: 0, previousTerm: 0, previousCrc: 0 };
    const message = encodeRequest({ type: "append", ...envelope, ...previous, entries });
    assert(message.length / batch < payload + 64, `${message.length / batch} bytes on the wire`);

    const fs = new MemoryFileSystem();
    const start = { index: 0, term: 0, crc: 0 };
    const { wal } = await openFileWal({ fs, directory: "/wal", start });
    const before = { ...wal.counters };
    const write = { hardState: null, reset: null, truncateFrom: null };
    // As they come in one turn, one by one.
    await Promise.all(entries.map((entry) => wal.append({ ...write, entries: [entry] })));
    const bytes = (wal.counters.bytes - before.bytes) / batch;
    assert(bytes < payload + 64, `${bytes} bytes on the disk`);
    assert.equal(wal.counters.syncs - before.syncs, 1);
    await wal.close();
  });
});
