/**
 * A snapshot of the state as bytes. The same state gives the same bytes on every replica.
 *
 *     snapshot := header record* change* part* end     see `record.ts` and `history-format.ts`
 *     header   := "holdfast-kv" | format u8 (3, 4) | revision u64 | number of records u64
 *               | floor u64 | time u64 | next lease u64 | history: revisions u64 | bytes u64
 *     part     := length u32 | CBOR                    the length of the CBOR, not 0
 *     CBOR     := ["lease", id, ttl, due]
 *               | ["session", name, used at, done]
 *               | ["answer", session, number, hash, hash, result]
 *               | ["role", role] | ["token", token]       see `access/access-codec.ts`; from format 4 on
 *               | ["restored", id] | ["staging", id, due] | ["piece", number, bytes]      from format 4 on
 *     end      := 0 u32
 *
 * The format tells the cluster's version (`cluster-version.ts`): 3 is 1, and 4 is 2. Integers are little endian. There is a change for every revision behind the floor; parts are in the order above,
 * leases by id, sessions by name, answers by session and number, roles by name, tokens by id. It is cut into chunks without regard to what is in
 * it, so a large value does not make a large chunk, and reading (`snapshot-reader.ts`) does not depend on where the
 * cuts were.
 */
import { encodeCbor } from "../cbor.ts";
import { roleItems, tokenItems } from "./access/access-codec.ts";
import { partsOf } from "./idempotency.ts";
import { writeU32 } from "./record.ts";
import { chunkBytes, encodeHeader } from "./snapshot-format.ts";
import { SnapshotReader } from "./snapshot-reader.ts";
import type { State } from "./state.ts";

const all = { start: "", end: null };

/**
 * The snapshot of `state` as it is now. Each chunk stands in the buffer of the one before it: one for each makes Node
 * collect garbage every 64 MB of snapshot.
 */
export function snapshotChunks(state: State): { chunks(): Iterable<Uint8Array> } {
  const store = state.store.freeze();
  const { revision, size, floor, limits } = store;
  const { time, version } = state;
  const header = encodeHeader({
    version,
    revision,
    size,
    floor,
    time,
    nextLease: state.leases.next,
    ...limits,
  });
  const leases = state.leases.freeze();
  const { sessions, answers } = state.idempotency.freeze();
  const { roles, tokens } = state.access.freeze();
  const { restored, staging } = state;
  const staged = [...staging?.pieces ?? []];
  function* pieces(): Generator<Uint8Array, void> {
    yield header;
    yield* store.runs();
    yield* store.changes();
    for (const [, { id, ttlMs, due }] of leases.ascending(all)) {
      yield* part(["lease", id, ttlMs, due]);
    }
    for (const [name, { usedAt, done }] of sessions.ascending(all)) {
      yield* part(["session", name, usedAt, done]);
    }
    for (const [name, { fingerprint, result }] of answers.ascending(all)) {
      const { session, number } = partsOf(name);
      yield* part(["answer", session, number, ...fingerprint, result]);
    }
    for (const [, role] of roles.ascending(all)) yield* part(["role", ...roleItems(role)]);
    for (const [, token] of tokens.ascending(all)) yield* part(["token", ...tokenItems(token)]);
    if (restored !== null) yield* part(["restored", restored]);
    if (staging !== null) {
      yield* part(["staging", staging.id, staging.due]);
      for (const [at, piece] of staged.entries()) yield* part(["piece", at, piece]);
    }
    yield new Uint8Array(4);
  }
  return { chunks: () => inChunks(pieces()) };
}

/**
 * The state that a snapshot holds.
 * @throws {MalformedBytes} where it isn't valid.
 */
export async function stateFromChunks(chunks: AsyncIterable<Uint8Array>): Promise<State> {
  const reader = new SnapshotReader();
  for await (const chunk of chunks) reader.push(chunk);
  return reader.finish();
}

function* part(items: readonly unknown[]): Generator<Uint8Array, void> {
  const bytes = encodeCbor(items);
  const length = new Uint8Array(4);
  writeU32(length, 0, bytes.length);
  yield length;
  yield bytes;
}

function* inChunks(pieces: Iterable<Uint8Array>): Generator<Uint8Array, void> {
  const chunk = new Uint8Array(chunkBytes);
  let used = 0;
  for (const whole of pieces) {
    for (let at = 0; at < whole.length;) {
      const piece = whole.subarray(at, at + chunkBytes - used);
      chunk.set(piece, used);
      at += piece.length;
      used += piece.length;
      if (used < chunkBytes) break;
      yield chunk;
      used = 0;
    }
  }
  if (used > 0) yield chunk.subarray(0, used);
}
