/** A snapshot file that is being received. It is opened anew for each piece, so there is nothing to close. */
import { MalformedBytes } from "../errors.ts";
import type { File, StagedSnapshot } from "../ports.ts";
import type { Index, SnapshotMeta, Term } from "../raft/types.ts";
import { soundBytes, sourceOf, verifySnapshot } from "./snapshot-format.ts";

const REWRITE_BYTES = 1024 * 1024;

/** What is being received; `size` is that of the whole file, in bytes. */
export interface SnapshotIdentity {
  readonly index: Index;
  readonly term: Term;
  readonly size: number;
}

/** The file, as far as {@link StagedFile} needs it. */
export interface StagedFileAccess {
  /** Opens it, does something, and closes it. Rejects with what belongs to the port. */
  use<T>(work: (file: File) => Promise<T>): Promise<T>;
  remove(): Promise<void>;
}

/** {@link StagedSnapshot} in a file that exists. */
export class StagedFile implements StagedSnapshot {
  readonly identity: SnapshotIdentity;
  readonly #access: StagedFileAccess;
  #offset = 0;
  #finished: SnapshotMeta | null = null;

  constructor(identity: SnapshotIdentity, access: StagedFileAccess) {
    this.identity = identity;
    this.#access = access;
  }

  get offset(): number {
    return this.#offset;
  }

  /** What `finish` found, or null before. */
  get finished(): SnapshotMeta | null {
    return this.#finished;
  }

  /**
   * Keeps what an earlier attempt left, as far as it is sound. That is written once more: after a failed sync it could
   * be in the system's cache alone, where no later sync would find it to be written.
   */
  async resume(): Promise<void> {
    this.#offset = await this.#access.use(async (file) => {
      const sound = await soundBytes(await sourceOf(file));
      // What is longer than this snapshot is no part of it, however sound.
      const held = sound > this.identity.size ? 0 : sound;
      await file.truncate(held);
      for (let offset = 0; offset < held; offset += REWRITE_BYTES) {
        await file.writev([await file.read(offset, REWRITE_BYTES)], offset);
      }
      return held;
    });
  }

  /** @throws {MalformedBytes} where there are more than were announced. */
  async write(bytes: Uint8Array): Promise<void> {
    const end = this.#offset + bytes.length;
    if (end > this.identity.size) {
      throw new MalformedBytes(`more than the ${this.identity.size} bytes announced`, this.#offset);
    }
    await this.#access.use((file) => file.writev([bytes], this.#offset));
    this.#offset = end;
  }

  async finish(): Promise<SnapshotMeta> {
    const { index, term, size } = this.identity;
    if (this.#offset !== size) {
      throw new MalformedBytes(`${this.#offset} bytes of ${size} are here`, this.#offset);
    }
    this.#finished ??= await this.#access.use(async (file) => {
      const meta = await verifySnapshot(await sourceOf(file));
      if (meta.index !== index || meta.term !== term) {
        throw new MalformedBytes(
          `snapshot ${meta.index}@${meta.term} came for ${index}@${term}`,
          16,
        );
      }
      await file.datasync();
      return meta;
    });
    return this.#finished;
  }

  async discard(): Promise<void> {
    this.#offset = 0;
    this.#finished = null;
    await this.#access.remove();
  }
}
