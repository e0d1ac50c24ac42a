/**
 * The replicated state machine: the same commands in the same order give the same store, and the same results, on
 * every replica. It implements `StateMachine` of `ports.ts`, by shape: this room stands on the ground floor.
 */
import { MalformedBytes } from "../errors.ts";
import { type Command, type Condition, decodeCommand } from "./command.ts";
import { decodeResult, encodeResult, type KvResult } from "./result.ts";
import { snapshotChunks, storeFromChunks } from "./snapshot.ts";
import { Store } from "./store.ts";

export class KvMachine {
  #store = new Store();

  /** The state after the last applied command. Replaced by `restore`: ask for it each time. */
  get store(): Store {
    return this.#store;
  }

  /**
   * Applies one command. Whatever its bytes are gives a result: only a defect throws.
   *
   * @example
   * ```ts
   * import { encodeCommand } from "./command.ts";
   * const payload = encodeCommand({ type: "delete", key: "a", conditions: [] });
   * new KvMachine().apply({ payload }); // { type: "deleted", revision: 0, deleted: 0 }
   * ```
   */
  apply(entry: { readonly payload: Uint8Array }): KvResult {
    let command: Command;
    try {
      command = decodeCommand(entry.payload);
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error;
      return { type: "malformed", revision: this.#store.revision, detail: error.message };
    }
    return this.#run(command);
  }

  /** The state as it is now, in O(1). */
  snapshot(): { chunks(): Iterable<Uint8Array> } {
    const frozen = this.#store.clone();
    return { chunks: () => snapshotChunks(frozen) };
  }

  /** Replaces the whole state, once all of the new one is there. @throws {MalformedBytes} and then the old one stands. */
  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.#store = await storeFromChunks(chunks);
  }

  encodeResult(result: KvResult): Uint8Array {
    return encodeResult(result);
  }

  /** @throws {MalformedBytes} */
  decodeResult(bytes: Uint8Array): KvResult {
    return decodeResult(bytes);
  }

  #run(command: Command): KvResult {
    const store = this.#store;
    if (command.type === "deleteRange") {
      const deleted = store.deleteRange(command);
      return { type: "deleted", revision: store.revision, deleted };
    }
    const { key, conditions } = command;
    if (conditions.length > 0) {
      const current = store.revisionOf(key);
      if (!conditions.every((condition) => holds(condition, current))) {
        return { type: "conditionFailed", revision: store.revision, current };
      }
    }
    if (command.type === "delete") {
      const deleted = store.delete(key);
      return { type: "deleted", revision: store.revision, deleted };
    }
    const { revision, version, created } = store.put(key, command.value, command.contentType);
    return { type: "put", revision, version, created };
  }
}

/** `current` is the key's revision, 0 where it is absent. */
function holds(condition: Condition, current: number): boolean {
  switch (condition.type) {
    case "exists":
      return current !== 0;
    case "absent":
      return current === 0;
    case "revision":
      return current !== 0 && condition.revisions.includes(current);
    case "notRevision":
      return current === 0 || !condition.revisions.includes(current);
  }
}
