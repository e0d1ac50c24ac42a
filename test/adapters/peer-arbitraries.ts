/** Peer messages for fast-check, and what the tests of the wire share. */
import fc from "fast-check";
import "./byte-arbitraries.ts";
import { sealEntry } from "../../src/adapters/log-record.ts";
import type { ManageCall, PeerWireLimits } from "../../src/adapters/peer-wire.ts";
import type {
  ForwardReply,
  ManageReply,
  SnapshotChunk,
  SnapshotChunkReply,
} from "../../src/ports.ts";
import type { Append, ReplyMessage, RequestMessage } from "../../src/raft/message.ts";
import type { Configuration, Entry, EntryKind } from "../../src/raft/types.ts";

export const wireLimits: PeerWireLimits = {
  bodyBytesMax: 4 << 20,
  records: { payloadBytesMax: 1 << 20, entriesMax: 1000 },
};

/** Seals payloads into a chain of entries behind `previousIndex`. */
export function sealedEntries(
  payloads: readonly Uint8Array[],
  after: { readonly index: number; readonly term: number; readonly crc: number },
): Entry[] {
  const entries: Entry[] = [];
  let crc = after.crc;
  for (const [i, payload] of payloads.entries()) {
    const kind: EntryKind = payload.length === 0 ? "empty" : "command";
    const entry = sealEntry({ index: after.index + 1 + i, term: after.term, kind, payload }, crc);
    entries.push(entry);
    crc = entry.crc;
  }
  return entries;
}

/** As `fc.record`, without null prototypes, which nothing on the wire has. */
function record<Fields>(
  model: { [Key in keyof Fields]: fc.Arbitrary<Fields[Key]> },
): fc.Arbitrary<Fields> {
  return fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<Fields>;
}

export const nodeIds: fc.Arbitrary<string> = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/),
  fc.constantFrom("n1", "n2", "__proto__", "constructor", "0"),
);
const counts = fc.oneof(fc.maxSafeNat(), fc.nat(300), fc.constantFrom(2 ** 32, 2 ** 53 - 1));
const crcs = fc.nat(0xffff_ffff);
const header = { from: nodeIds, to: nodeIds, id: counts };
const payloads = fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 6 });

/** Who is what: each id has one seat, or was removed. */
const configurations: fc.Arbitrary<Configuration> = fc.tuple(
  fc.uniqueArray(nodeIds, { minLength: 1, maxLength: 9 }),
  fc.array(fc.constantFrom("voter", "outgoing", "both", "learner", "removed"), {
    minLength: 9,
    maxLength: 9,
  }),
  fc.array(fc.option(fc.webUrl()), { minLength: 9, maxLength: 9 }),
  fc.boolean(),
).map(([ids, drawn, urls, changes]) => {
  const seats = ids.map((id, i) => ({ id, seat: i === 0 ? "voter" : drawn[i], url: urls[i] }));
  const sitting = (...wanted: string[]) =>
    seats.filter(({ seat }) => wanted.includes(seat ?? "")).map(({ id }) => id).sort();
  const voters = sitting("voter", "both");
  const learners = sitting("learner");
  const removed = sitting("removed");
  const members = seats.filter(({ seat }) => seat !== "removed");
  const bound = members.filter(({ url }) => url === null).map(({ id }) => [id, "life-1"]);
  return {
    voters,
    outgoing: sitting("outgoing", "both"),
    learners,
    urls: Object.fromEntries(members.flatMap(({ id, url }) => url ? [[id, url]] : [])),
    ...(bound.length === 0 ? {} : { incarnations: Object.fromEntries(bound) }),
    ...(removed.length === 0 ? {} : { removed }),
    ...(changes ? { next: { voters, learners } } : {}),
  };
});

export const appends: fc.Arbitrary<Append> = record({
  ...header,
  term: fc.integer({ min: 1, max: 2 ** 53 - 1 }),
  previousIndex: fc.nat(2 ** 40),
  previousCrc: crcs,
  commit: counts,
  payloads,
})
  .map(({ payloads, ...fields }) => {
    const previousTerm = fields.previousIndex === 0 ? 0 : fields.term - 1;
    const after = { index: fields.previousIndex, term: fields.term, crc: fields.previousCrc };
    return { type: "append", ...fields, previousTerm, entries: sealedEntries(payloads, after) };
  });

export const requests: fc.Arbitrary<RequestMessage> = fc.oneof(
  ballots().map((fields) => ({ type: "preVote" as const, ...fields })),
  fc
    .tuple(ballots(), fc.boolean())
    .map(([fields, transfer]) => ({ type: "vote" as const, ...fields, transfer })),
  appends,
  record({
    type: fc.constant("heartbeat" as const),
    ...header,
    term: counts,
    commit: counts,
    round: counts,
    acknowledged: counts,
    leaderCommit: counts,
    ageMs: fc.double({ min: 0, max: 1e9, noNaN: true }).map((ms) => ms + 0),
  }),
  record({ ...header, term: counts, index: counts, crc: crcs, configuration: configurations })
    .map(({ index, crc, configuration, ...fields }) => ({
      type: "installSnapshot" as const,
      ...fields,
      meta: { index, term: fields.term, crc, configuration },
    })),
  record({ type: fc.constant("timeoutNow" as const), ...header, term: counts }),
  record({
    type: fc.constant("readIndex" as const),
    ...header,
    term: counts,
    level: fc.constantFrom("linearizable" as const, "lease" as const),
  }),
);

function ballots() {
  return record({ ...header, term: fc.integer({ min: 1, max: 2 ** 53 - 1 }), lastIndex: counts })
    .map((fields) => ({ ...fields, lastTerm: fields.term - 1 }));
}

export const replies: fc.Arbitrary<ReplyMessage> = fc.oneof(
  record({
    type: fc.constantFrom("preVoteReply" as const, "voteReply" as const),
    ...header,
    term: counts,
    granted: fc.boolean(),
  }),
  record({
    type: fc.constant("appendReply" as const),
    ...header,
    term: counts,
    success: fc.boolean(),
    match: counts,
    rejectedIndex: counts,
    conflictTerm: counts,
    conflictIndex: counts,
  }),
  record({
    type: fc.constant("heartbeatReply" as const),
    ...header,
    term: counts,
    round: counts,
  }),
  record({
    type: fc.constant("installSnapshotReply" as const),
    ...header,
    term: counts,
    success: fc.boolean(),
    match: counts,
  }),
  record({ type: fc.constant("timeoutNowReply" as const), ...header, term: counts }),
  record({
    type: fc.constant("readIndexReply" as const),
    ...header,
    term: counts,
    index: fc.option(counts),
    indexTerm: counts,
  }),
);

export const commands: fc.Arbitrary<Uint8Array> = fc.uint8Array({ maxLength: 300 });

const members = fc.array(record({ id: nodeIds, url: fc.option(fc.webUrl()) }), { maxLength: 7 });

export const manageCalls: fc.Arbitrary<ManageCall> = record({
  timeoutMs: fc.nat(600_000),
  request: fc.oneof(
    record({
      type: fc.constant("add" as const),
      id: nodeIds,
      url: fc.webUrl(),
      voter: fc.boolean(),
    }),
    record({
      type: fc.constant("replace" as const),
      id: nodeIds,
      url: fc.webUrl(),
      replaces: nodeIds,
    }),
    record({ type: fc.constant("remove" as const), id: nodeIds }),
    record({ type: fc.constant("set" as const), voters: members, learners: members }),
    record({ type: fc.constant("transfer" as const), target: fc.option(nodeIds) }),
  ),
});

export const manageReplies: fc.Arbitrary<ManageReply> = fc.oneof(
  record({
    type: fc.constant("members" as const),
    configuration: configurations,
    changing: fc.boolean(),
  }),
  record({ type: fc.constant("transferred" as const), leader: nodeIds }),
  record({
    type: fc.constant("refused" as const),
    code: fc.constantFrom(
      "bad_request" as const,
      "not_found" as const,
      "change_in_progress" as const,
    ),
    detail: fc.string(),
  }),
  record({
    type: fc.constant("notApplied" as const),
    reason: fc.constantFrom("no_leader" as const, "not_ready" as const, "overloaded" as const),
    detail: fc.string(),
  }),
  fc.constant({ type: "unknown" as const }),
);

export const forwardReplies: fc.Arbitrary<ForwardReply> = fc.oneof(
  record({
    type: fc.constant("applied" as const),
    index: counts,
    result: commands,
    term: counts,
  }),
  record({
    type: fc.constant("notApplied" as const),
    reason: fc.constantFrom("no_leader" as const, "not_ready" as const, "overloaded" as const),
  }),
  fc.constant({ type: "unknown" as const }),
);

export const chunks: fc.Arbitrary<SnapshotChunk> = record({
  bytes: commands,
  from: nodeIds,
  to: nodeIds,
  term: counts,
  index: counts,
  snapshotTerm: counts,
  offset: fc.nat(2 ** 40),
  rest: fc.nat(2 ** 40),
})
  .map(({ rest, ...chunk }) => ({ ...chunk, size: chunk.offset + chunk.bytes.length + rest }));

export const chunkReplies: fc.Arbitrary<SnapshotChunkReply> = record({
  offset: counts,
  refused: fc.boolean(),
});
