/** An open file of `memory-fs.ts`. */
import type { File } from "../ports.ts";
import type { Inode } from "./memory-inode.ts";

export type MemoryOperation =
  | "open"
  | "read"
  | "write"
  | "datasync"
  | "truncate"
  | "size"
  | "rename"
  | "remove"
  | "list"
  | "makeDirectory"
  | "syncDirectory"
  | "space"
  | "lock";

/** What a file asks of its file system. */
export interface FileHost {
  /** Which life of the process it is. */
  readonly life: number;
  /** What a failed sync leaves behind. */
  readonly survival: () => boolean;
  /** @throws where the disk has no room for so many bytes more. */
  checkCapacity(growth: number): void;
  perform<T>(
    operation: MemoryOperation,
    path: string,
    effect: () => T,
    partial?: () => void,
  ): Promise<T>;
}

/** {@link File} in memory. */
export class MemoryFile implements File {
  readonly #fs: FileHost;
  readonly #path: string;
  readonly #inode: Inode;
  readonly #life: number;
  #open = true;

  constructor(fs: FileHost, path: string, inode: Inode) {
    this.#fs = fs;
    this.#path = path;
    this.#inode = inode;
    this.#life = fs.life;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    return await this.#perform("read", () => {
      return this.#inode.live.bytes().slice(offset, offset + length);
    });
  }

  async writev(buffers: readonly Uint8Array[], offset: number): Promise<void> {
    const write = () => {
      let at = offset;
      const end = buffers.reduce((sum, buffer) => sum + buffer.length, offset);
      this.#fs.checkCapacity(end - this.#inode.live.length);
      this.#inode.reserve(end);
      for (const buffer of buffers) {
        this.#inode.write(buffer, at);
        at += buffer.length;
      }
    };
    await this.#perform("write", write, write);
  }

  async datasync(): Promise<void> {
    const failed = () => this.#inode.crash(this.#fs.survival, "keepCache");
    await this.#perform("datasync", () => this.#inode.sync(), failed);
  }

  async truncate(length: number): Promise<void> {
    await this.#perform("truncate", () => {
      this.#fs.checkCapacity(length - this.#inode.live.length);
      this.#inode.truncate(length);
    });
  }

  async size(): Promise<number> {
    return await this.#perform("size", () => this.#inode.live.length);
  }

  async close(): Promise<void> {
    this.#open = false;
  }

  async #perform<T>(operation: MemoryOperation, effect: () => T, partial?: () => void): Promise<T> {
    if (this.#life !== this.#fs.life) fail("ECRASHED", `${operation} ${this.#path}`);
    if (!this.#open) fail("EBADF", `${operation} ${this.#path}`);
    return await this.#fs.perform(operation, this.#path, effect, partial);
  }
}

/** As the system's errors: `code` is what a program looks at. */
class SystemError extends Error {
  override readonly name = "SystemError";
  readonly code: string;
  constructor(code: string, call: string) {
    super(`${code}: ${call}`);
    this.code = code;
  }
}

export function fail(code: string, call: string): never {
  throw new SystemError(code, call);
}
