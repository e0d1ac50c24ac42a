/**
 * A snapshot's way to a peer: chunk by chunk, each acknowledged with the bytes that the receiver holds, so that a
 * broken transfer goes on where it stopped. The `installSnapshot` message follows once the bytes are there.
 */
import { MalformedBytes, PeerUnreachable } from "../errors.ts";
import type {
  Clock,
  Logger,
  ReplicaObserver,
  SnapshotChunk,
  SnapshotChunkReply,
  SnapshotFile,
  SnapshotStore,
  StagedSnapshot,
  Transport,
} from "../ports.ts";
import type { InstallSnapshot, ReplyMessage } from "../raft/message.ts";
import type { SnapshotMeta } from "../raft/types.ts";

/** Bytes of one chunk on the wire. */
export const snapshotChunkBytes: number = 512 * 1024;
/** See {@link inSlices}. */
const restBytes = 1024 * 1024;
/** A longer rest, after a disk or a process stood still, would be of no use to anybody. */
const restMsMax = 500;

/** Milliseconds: for a chunk, until `message` is sent again, and for the receiver to put the whole in place. */
export interface TransferTimeouts {
  readonly chunkMs: number;
  readonly againMs: number;
  readonly installMs: number;
}

/** In proportion to how long any other message may take. */
export function transferTimeouts(peerTimeoutMs: number): TransferTimeouts {
  return { chunkMs: 4 * peerTimeoutMs, againMs: 4 * peerTimeoutMs, installMs: 60 * peerTimeoutMs };
}

/** What a transfer stands on. */
export interface TransferParts {
  readonly store: Pick<SnapshotStore, "openFile">;
  readonly transport: Pick<Transport, "request" | "sendChunk">;
  readonly clock: Pick<Clock, "now">;
  readonly observer?: Pick<ReplicaObserver, "snapshotSent">;
}

/**
 * Sends the newest snapshot and then `message` with that snapshot's meta.
 * @param wanted asked before each chunk; false ends the transfer (leadership or term is gone).
 * @throws {PeerUnreachable} where the peer does not answer, refuses, or the transfer is not wanted any more.
 */
export async function sendSnapshot(
  parts: TransferParts,
  message: InstallSnapshot,
  wanted: () => boolean,
  timeouts: TransferTimeouts,
): Promise<ReplyMessage> {
  const file = await parts.store.openFile();
  if (file === null) throw new PeerUnreachable("there is no snapshot to send", false);
  const { clock, observer } = parts;
  const since = clock.now();
  let outcome: "ok" | "failed" = "failed";
  try {
    await sendChunks(parts.transport, message, file, wanted, timeouts.chunkMs);
    const reply = await install(parts, { ...message, meta: file.meta }, wanted, timeouts);
    if (reply.type === "installSnapshotReply" && reply.success) outcome = "ok";
    return reply;
  } finally {
    observer?.snapshotSent(message.to, outcome, (clock.now() - since) / 1000);
    await file.close();
  }
}

/**
 * Putting a large state in place takes long, so a lost request or reply must not be waited for as long as that: it is
 * sent again, which changes nothing where it was received.
 */
async function install(
  { transport, clock }: TransferParts,
  message: InstallSnapshot,
  wanted: () => boolean,
  { againMs, installMs }: TransferTimeouts,
): Promise<ReplyMessage> {
  const deadline = clock.now() + installMs;
  for (;;) {
    const startedAt = clock.now();
    try {
      return await transport.request(message, againMs);
    } catch (error) {
      const isLost = error instanceof PeerUnreachable && clock.now() >= startedAt + againMs;
      if (!isLost || !wanted() || clock.now() >= deadline) throw error;
    }
  }
}

async function sendChunks(
  transport: TransferParts["transport"],
  message: InstallSnapshot,
  file: SnapshotFile,
  wanted: () => boolean,
  timeoutMs: number,
): Promise<void> {
  const { from, to, term } = message;
  const identity = {
    from,
    to,
    term,
    index: file.meta.index,
    snapshotTerm: file.meta.term,
    size: file.size,
  };
  const begin = await transport.sendChunk(
    { ...identity, offset: 0, bytes: new Uint8Array(0) },
    timeoutMs,
  );
  let { offset, refused } = begin;
  while (offset < file.size) {
    if (refused || !wanted()) {
      throw new PeerUnreachable("the snapshot is not wanted any more", true);
    }
    const bytes = await file.read(offset, Math.min(snapshotChunkBytes, file.size - offset));
    const reply = await transport.sendChunk({ ...identity, offset, bytes }, timeoutMs);
    if (!reply.refused && reply.offset <= offset) {
      throw new PeerUnreachable(`the peer does not take the snapshot beyond byte ${offset}`, true);
    }
    ({ offset, refused } = reply);
  }
}

/** Receives one snapshot at a time; a newer one takes the place of an unfinished older one. */
export class SnapshotReceiver {
  readonly #store: SnapshotStore;
  readonly #log: Logger;
  #staged: StagedSnapshot | null = null;
  #identity = "";
  /** Complete, verified and durable under a temporary name. */
  #finished: SnapshotMeta | null = null;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(store: SnapshotStore, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  /** Chunks are taken one after the other, whatever order they arrive in. */
  onChunk(chunk: SnapshotChunk): Promise<SnapshotChunkReply> {
    const taken = this.#queue.then(() => this.#take(chunk));
    this.#queue = taken.catch(() => undefined);
    return taken;
  }

  /** Whether the bytes of exactly this snapshot are here and sound. */
  holds(meta: SnapshotMeta): boolean {
    const held = this.#finished;
    return held !== null && held.index === meta.index && held.term === meta.term &&
      held.crc === meta.crc;
  }

  /** Puts it in place of the node's own. Durable when this resolves. */
  async install(meta: SnapshotMeta): Promise<void> {
    await this.#store.install(meta);
    this.#staged = null;
    this.#finished = null;
    this.#identity = "";
  }

  async #take(chunk: SnapshotChunk): Promise<SnapshotChunkReply> {
    const identity = `${chunk.index}/${chunk.snapshotTerm}/${chunk.size}`;
    if (identity !== this.#identity || this.#staged === null) {
      this.#finished = null;
      this.#staged = await this.#store.stage({
        index: chunk.index,
        term: chunk.snapshotTerm,
        size: chunk.size,
      });
      this.#identity = identity;
    }
    const staged = this.#staged;
    if (this.#finished === null && chunk.offset === staged.offset && chunk.bytes.length > 0) {
      await staged.write(chunk.bytes);
    }
    if (this.#finished === null && staged.offset === chunk.size) await this.#finish(staged);
    return { offset: this.#staged === null ? 0 : staged.offset, refused: false };
  }

  async #finish(staged: StagedSnapshot): Promise<void> {
    try {
      this.#finished = await staged.finish();
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error;
      this.#log("warn", "a received snapshot is damaged and is asked for again", {
        error: error.message,
      });
      await staged.discard();
      this.#staged = null;
      this.#identity = "";
    }
  }
}

/**
 * The machine's chunks, letting the event loop turn between any two. Behind {@link restBytes} it rests for as long as
 * those took to be written, or {@link restMsMax}, so that a snapshot takes at most half of the node's processor and disk.
 */
export async function* inSlices(
  chunks: Iterable<Uint8Array>,
  clock: Clock,
): AsyncIterable<Uint8Array> {
  let bytes = 0;
  let since = clock.now();
  for (const chunk of chunks) {
    if (bytes >= restBytes) {
      const now = clock.now();
      const rest = Math.min(now - since, restMsMax);
      await new Promise<void>((resolve) => void clock.timer(now + rest, resolve));
      since = clock.now();
      bytes = 0;
    }
    yield chunk;
    bytes += chunk.length;
    await clock.yield();
  }
}
