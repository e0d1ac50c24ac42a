/**
 * A backup's state on its way into an empty store: it comes in pieces, each a command, and takes effect by the last one,
 * whole. Until then nobody sees any of it. So it is replicated as everything else is, survives leaders and restarts,
 * and all replicas decide alike whether it is whole.
 *
 * Each command may come again: what was done before is answered again and not done twice.
 *
 * What leases and times to live have left is what they had left when the backup was taken. The cluster's time goes on to
 * the backup's; or where it is ahead of that, what is due in the backup is put off until behind it, by as much as a
 * restore may take: so nothing passes meanwhile, and time never goes back.
 */
import { MalformedBytes } from "../errors.ts";
import { Access } from "./access/access.ts";
import type { RestoreCommand } from "./command.ts";
import type { KvResult, RestoreRefusal } from "./result.ts";
import { SnapshotReader } from "./snapshot-reader.ts";
import { restoreBytesMax, Staging } from "./staging.ts";
import type { State } from "./state.ts";

/** Of the cluster: older replicas know nothing of restores. */
const restoreVersion = 2;
/** By then a restore has taken effect, in milliseconds of the cluster's time. */
export const restoreMsMax: number = 15 * 60_000;

type Step<Type> = Extract<RestoreCommand["step"], { readonly type: Type }>;

/**
 * Of each staging, what has read its pieces, so that the last step doesn't have to read them all. It is this process's
 * own, and made anew where a staging came with a snapshot.
 */
const readers = new WeakMap<Staging, SnapshotReader>();

/** Takes a step; with the last one `state` gets its successor. */
export function runRestore(state: State, { id, step }: RestoreCommand): KvResult {
  const { revision } = state.store;
  // Members of an older version would change nothing by it.
  if (state.version < restoreVersion) {
    return { type: "malformed", revision, detail: "a restore of a later version" };
  }
  if (step.type === "commit" && state.restored === id) return { type: "restored", revision };
  if (step.type === "abort") return refuse(state, id, "over", "it was given up");
  if (revision !== 0 || state.leases.next !== 1) {
    return refuse(state, id, "notEmpty", "the store is not empty: it has had keys, or leases");
  }
  if (step.type === "begin" && state.staging?.id !== id) {
    state.staging = new Staging(id, state.time + restoreMsMax);
  }
  const { staging } = state;
  if (staging?.id !== id) {
    return refuse(state, id, "over", "another restore has begun, or its time was over");
  }
  try {
    if (step.type === "piece") add(staging, step);
    if (step.type === "commit") return commit(state, staging, step);
  } catch (error) {
    if (!(error instanceof MalformedBytes)) throw error;
    return refuse(state, id, "malformed", error.message);
  }
  return { type: "restoring", revision, bytes: staging.bytes };
}

/** Drops what nothing can come of any more. */
export function dropOverdue(state: State): void {
  const { staging, time, store } = state;
  if (staging !== null && (staging.due <= time || store.revision !== 0)) state.staging = null;
}

/** @throws {MalformedBytes} */
function add(staging: Staging, { offset, bytes }: Step<"piece">): void {
  if (offset !== staging.bytes || bytes.length === 0) return;
  if (offset + bytes.length > restoreBytesMax) {
    throw new MalformedBytes(`more than ${restoreBytesMax} bytes`, 0);
  }
  const copy = bytes.slice();
  readerOf(staging).push(copy);
  staging.add(copy);
}

/** @throws {MalformedBytes} */
function commit(state: State, staging: Staging, { bytes, digest }: Step<"commit">): KvResult {
  const [first, second] = staging.digest;
  if (bytes !== staging.bytes || digest[0] !== first || digest[1] !== second) {
    throw new MalformedBytes("other bytes came than were sent", 0);
  }
  const restored = readerOf(staging).finish();
  state.successor = {
    ...restored,
    access: merged(state.access, restored.access),
    version: Math.max(state.version, restored.version),
    staging: null,
    restored: staging.id,
    applied: state.applied,
  };
  return { type: "restored", revision: restored.store.revision };
}

/** The backup's roles and tokens, and those of the cluster, which stay as they are. @throws {MalformedBytes} */
function merged(own: Access, restored: Access): Access {
  const { roles, tokens } = restored.freeze();
  for (const role of own.roles()) roles.set(role.name, role);
  for (const token of own.tokens()) tokens.set(token.id, token);
  const access = new Access(roles, tokens);
  const flaw = access.flaw();
  if (flaw !== null) throw new MalformedBytes(flaw, 0);
  return access;
}

function readerOf(staging: Staging): SnapshotReader {
  const known = readers.get(staging);
  if (known !== undefined) return known;
  const reader = new SnapshotReader({ timeMin: staging.due });
  for (const piece of staging.pieces) reader.push(piece);
  readers.set(staging, reader);
  return reader;
}

function refuse(state: State, id: string, reason: RestoreRefusal, detail: string): KvResult {
  if (state.staging?.id === id) state.staging = null;
  return { type: "restoreRefused", revision: state.store.revision, reason, detail };
}
