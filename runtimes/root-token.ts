/**
 * The first token of a cluster, root's: made by the first leader that asks for tokens, or told to it (`--root-token`).
 * Where the leader doesn't ask for any, a node that does makes it.
 * One that is made stands in a file of that node before anybody is let in by it, so that nobody is ever shut out by a
 * crash; where another node's came first, the file goes again.
 */
import { join } from "node:path";
import { credentials } from "../src/adapters/access-tokens.ts";
import { readSecretFile, removeSecretFile, writeSecretFile } from "../src/adapters/secret-file.ts";
import type { NodeConfig } from "../src/config.ts";
import { tokenIdIn } from "../src/config/token-text.ts";
import { NotApplied, OutcomeUnknown } from "../src/errors.ts";
import type { ReplicaView } from "../src/http/exchange.ts";
import { accessVersion, rootRole } from "../src/kv/access/grant.ts";
import { encodeCommand } from "../src/kv/command-codec.ts";
import type { KvMachine } from "../src/kv/machine.ts";
import type { Clock, Logger } from "../src/ports.ts";

/** How often it is looked whether this node is to make one, in milliseconds. */
const LOOK_INTERVAL_MS = 100;
const ASK_TIMEOUT_MS = 2000;
/** A leader makes it at once; where one isn't told to, another node does after so long, in milliseconds. */
const PATIENCE_MS = 2000;
const FILE = "root-token";

export interface RootTokenParts {
  readonly config: Pick<NodeConfig, "auth" | "rootToken" | "storage" | "data">;
  readonly replica: Pick<ReplicaView, "status" | "read" | "propose">;
  readonly machine: KvMachine;
  readonly clock: Clock;
  readonly log: Logger;
  /** The disk has failed. */
  readonly onFailure: (error: Error) => void;
}

/** Sees to it that there is one, where this node asks for tokens. Returns the end of that. */
export function provideRootToken(parts: RootTokenParts): () => void {
  return parts.config.auth ? new RootToken(parts).begin() : tellWhereRequired(parts);
}

/** A node that was not told to ask for tokens does so all the same where its cluster has some: say why. */
function tellWhereRequired({ machine, log }: RootTokenParts): () => void {
  let isTold = false;
  const tell = (): void => {
    if (isTold || !machine.access.isRequired) return;
    isTold = true;
    log("warn", "the cluster has a root token, so this node asks for tokens: --auth is off here");
  };
  tell();
  return machine.watchAccess(tell);
}

class RootToken {
  readonly #parts: RootTokenParts;
  /** Null where none is written: it was told, or the disk is memory. */
  readonly #path: string | null;
  readonly #since: number;
  #cancel: () => void = () => {};
  #ended = false;

  constructor(parts: RootTokenParts) {
    const { rootToken, storage, data } = parts.config;
    this.#parts = parts;
    this.#since = parts.clock.now();
    this.#path = rootToken === null && storage === "file" ? join(data, FILE) : null;
  }

  begin(): () => void {
    this.#arm();
    return () => {
      this.#ended = true;
      this.#cancel();
    };
  }

  #arm(): void {
    const { clock, onFailure } = this.#parts;
    if (this.#ended) return;
    this.#cancel = clock.timer(clock.now() + LOOK_INTERVAL_MS, () => {
      this.#look().then((isDone) => {
        if (!isDone) this.#arm();
      }, (error: unknown) => {
        onFailure(error instanceof Error ? error : new Error(String(error)));
      });
    });
  }

  /** Whether there is one, and nothing is left to do. */
  async #look(): Promise<boolean> {
    const { replica, machine, clock } = this.#parts;
    if (!machine.access.isRequired) {
      if (machine.version < accessVersion) return false;
      const isLate = clock.now() >= this.#since + PATIENCE_MS;
      if (replica.status().role !== "leader" && !isLate) return false;
    }
    try {
      // What is true of tokens here may have been true long ago.
      await replica.read("linearizable", ASK_TIMEOUT_MS);
      if (!machine.access.isRequired) await this.#make();
      if (!machine.access.isRequired) return false;
      await this.#tidy();
      return true;
    } catch (error) {
      if (error instanceof NotApplied || error instanceof OutcomeUnknown) return false;
      throw error;
    }
  }

  async #make(): Promise<void> {
    const { config, replica, log } = this.#parts;
    const text = config.rootToken ?? await this.#written();
    const id = text === null ? null : tokenIdIn(text);
    if (text === null || id === null) return;
    const token = { id, name: rootRole, hash: credentials.hash(text), roles: [rootRole] };
    const command = encodeCommand({ type: "putToken", token, first: true });
    const { result } = await replica.propose(command, ASK_TIMEOUT_MS);
    if (result.type !== "accessChanged") return;
    const where = this.#path === null ? { from: "--root-token" } : { file: this.#path };
    log("info", "the cluster has its root token", { id, ...where });
  }

  /** A token in the file: of an earlier attempt, or new. */
  async #written(): Promise<string | null> {
    const path = this.#path;
    if (path === null) return null;
    const earlier = await readSecretFile(path);
    if (earlier !== null && tokenIdIn(earlier) !== null) return earlier;
    const { text } = credentials.draw();
    await writeSecretFile(path, text);
    return text;
  }

  /** A token that lets nobody in is not to lie about as if it did. */
  async #tidy(): Promise<void> {
    const { machine, log } = this.#parts;
    const path = this.#path;
    const text = path === null ? null : await readSecretFile(path);
    if (path === null || text === null) return;
    const known = machine.access.principal(tokenIdIn(text) ?? "")?.token;
    if (known !== undefined && credentials.isSame(credentials.hash(text), known.hash)) return;
    await removeSecretFile(path);
    log("info", "removed a root token that is not the cluster's", { file: path });
  }
}
