/**
 * What the cluster has committed, as a plain map replays it: the measure of every replica's results, of every read at
 * any revision, and of which client's write took effect where.
 */
import { crc32 } from "node:zlib";
import { type Command, type Condition, decodeCommand } from "../../src/kv/command.ts";
import type { Key } from "../../src/kv/key.ts";
import type { KvResult } from "../../src/kv/result.ts";
import type { Store } from "../../src/kv/store.ts";
import { operationOf, writerOf } from "./operation.ts";

export interface ReferenceItem {
  readonly crc: number;
  readonly contentType: string;
  /** The number of the put that wrote it. */
  readonly value: number;
  readonly created: number;
  readonly revision: number;
  readonly version: number;
}

interface Committed {
  readonly term: number;
  readonly crc: number;
  readonly result: string;
  readonly stateHash: number;
}

/** Where a client's write took effect. */
export interface Effect {
  readonly index: number;
  readonly result: string;
}

export class Reference {
  /** The highest index that anybody applied. */
  lastIndex = 0;
  revision = 0;
  readonly #items = new Map<Key, ReferenceItem>();
  /** A key's items by revision, ascending; null where it was deleted. */
  readonly #history = new Map<
    Key,
    { readonly revision: number; readonly item: ReferenceItem | null }[]
  >();
  readonly #committed = new Map<number, Committed>();
  readonly #effects = new Map<number, Effect>();
  /** When each revision was first applied; index 0 is revision 1. */
  readonly #times: number[] = [];
  #stateHash = 0;

  /**
   * Some replica applied this. Returns what is wrong, or null. `operation` is the client's, where it is the first to.
   */
  applied(
    entry: {
      readonly index: number;
      readonly term: number;
      readonly crc: number;
      readonly payload: Uint8Array;
    },
    result: KvResult,
    now: number,
  ): { readonly wrong: string | null; readonly operation: number | null } {
    const { index, term, crc } = entry;
    const text = resultText(result);
    const known = this.#committed.get(index);
    if (known !== undefined) {
      const isSame = known.term === term && known.crc === crc && known.result === text;
      const wrong = `applied ${index}@${term} (${crc}) with ${text}, another had ` +
        `${index}@${known.term} (${known.crc}) with ${known.result}`;
      return { wrong: isSame ? null : wrong, operation: null };
    }
    if (index <= this.lastIndex) {
      return { wrong: `applied a command at ${index}, where others had none`, operation: null };
    }
    const command = decodeCommand(entry.payload);
    const expected = this.#run(command);
    while (this.#times.length < this.revision) this.#times.push(now);
    this.lastIndex = index;
    this.#committed.set(index, { term, crc, result: text, stateHash: this.#stateHash });
    const operation = operationOf(command);
    if (expected !== text) {
      return { wrong: `${index} gave ${text} instead of ${expected}`, operation };
    }
    const before = this.#effects.get(operation);
    this.#effects.set(operation, { index, result: text });
    if (before === undefined) return { wrong: null, operation };
    return {
      wrong: `operation ${operation} was applied at ${before.index} and at ${index}`,
      operation,
    };
  }

  effect(operation: number): Effect | undefined {
    return this.#effects.get(operation);
  }

  /** The chain's CRC at the last index that anybody applied, if it is that of a command. */
  get last(): { readonly index: number; readonly crc: number } {
    return { index: this.lastIndex, crc: this.#committed.get(this.lastIndex)?.crc ?? 0 };
  }

  /** What a key held at a revision. */
  at(key: Key, revision: number): ReferenceItem | null {
    return this.#history.get(key)?.findLast((each) => each.revision <= revision)?.item ?? null;
  }

  /** All that was held at a revision in a range, in order. */
  rangeAt(start: Key, end: Key | null, revision: number): (readonly [Key, ReferenceItem])[] {
    const held: (readonly [Key, ReferenceItem])[] = [];
    for (const key of [...this.#history.keys()].sort()) {
      if (key < start || (end !== null && key >= end)) continue;
      const item = this.at(key, revision);
      if (item !== null) held.push([key, item]);
    }
    return held;
  }

  /** The store's revision at a time: what was applied somewhere by then. */
  revisionAt(time: number): number {
    let low = 0;
    let high = this.#times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#times[middle] ?? 0) <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The hash of the state after the last command at or before `index`; null where that is not known. */
  stateHashAt(index: number): number | null {
    if (index === 0) return 0;
    for (let at = index; at > 0; at--) {
      const known = this.#committed.get(at);
      if (known !== undefined) return known.stateHash;
    }
    return 0;
  }

  #run(command: Command): string {
    if (command.type === "deleteRange") {
      const { start, end } = command;
      const keys = [...this.#items.keys()].filter((key) =>
        key >= start && (end === null || key < end)
      );
      return this.#delete(keys);
    }
    const { key, conditions } = command;
    const before = this.#items.get(key) ?? null;
    if (!conditions.every((condition) => holds(condition, before?.revision ?? 0))) {
      const current = before?.revision ?? 0;
      return resultText({ type: "conditionFailed", revision: this.revision, current });
    }
    if (command.type === "delete") return this.#delete(before === null ? [] : [key]);
    const revision = ++this.revision;
    const item = {
      crc: crc32(command.value),
      contentType: command.contentType,
      value: writerOf(command.value),
      created: before?.created ?? revision,
      revision,
      version: (before?.version ?? 0) + 1,
    };
    this.#set(key, item);
    return resultText({ type: "put", revision, version: item.version, created: item.created });
  }

  #delete(keys: readonly Key[]): string {
    if (keys.length > 0) this.revision++;
    for (const key of keys) this.#set(key, null);
    return resultText({ type: "deleted", revision: this.revision, deleted: keys.length });
  }

  #set(key: Key, item: ReferenceItem | null): void {
    const before = this.#items.get(key);
    if (before !== undefined) this.#stateHash = minus(this.#stateHash, itemHash(key, before));
    if (item === null) this.#items.delete(key);
    else {
      this.#items.set(key, item);
      this.#stateHash = plus(this.#stateHash, itemHash(key, item));
    }
    const history = this.#history.get(key) ?? [];
    if (history.length === 0) this.#history.set(key, history);
    history.push({ revision: this.revision, item });
  }
}

/** A result as text that compares. */
export function resultText(result: KvResult): string {
  switch (result.type) {
    case "put":
      return `put r${result.revision} v${result.version} c${result.created}`;
    case "deleted":
      return `deleted r${result.revision} ${result.deleted}`;
    case "conditionFailed":
      return `conditionFailed r${result.revision} at ${result.current}`;
    case "malformed":
      return `malformed r${result.revision}`;
  }
}

/** A hash of all that a store holds, whatever the order in which it came there. */
export function stateHash(store: Store): number {
  let hash = 0;
  for (const [key, { value, ...item }] of store.list({ start: "", end: null })) {
    hash = plus(hash, itemHash(key, { crc: crc32(value), ...item }));
  }
  return hash;
}

function itemHash(
  key: Key,
  { crc, contentType, created, revision, version }: Omit<ReferenceItem, "value">,
): number {
  let hash = crc | 0;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  for (const part of [crc32(contentType), created, revision, version]) {
    hash = Math.imul(hash ^ part, 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  return hash >>> 0;
}

function plus(a: number, b: number): number {
  return (a + b) >>> 0;
}

function minus(a: number, b: number): number {
  return (a - b) >>> 0;
}

/** `current` is the key's revision, 0 where it is absent. */
export function holds(condition: Condition, current: number): boolean {
  switch (condition.type) {
    case "exists":
      return current !== 0;
    case "absent":
      return current === 0;
    case "revision":
      return condition.revisions.some((revision) => revision === current && current !== 0);
    case "notRevision":
      return current === 0 || !condition.revisions.some((revision) => revision === current);
  }
}
