/**
 * What the cluster has committed, as a plain model replays it: the measure of every replica's results and states, of
 * every read at any revision, of every watcher, and of which client's write took effect where.
 */
import { decodeCommand, timeOf } from "../../src/kv/command-codec.ts";
import type { Key } from "../../src/kv/key.ts";
import type { KvResult } from "../../src/kv/result.ts";
import { Model, type ModelEvent, type ModelItem } from "./model.ts";
import { identityOf } from "./operation.ts";
import { resultText } from "./result-text.ts";
import { floorHash, itemHash, leaseHash, minus, plus, versionHash } from "./state-hash.ts";

interface Committed {
  readonly term: number;
  readonly crc: number;
  readonly result: string;
  readonly stateHash: number;
}

/** Where a command took effect, or would have. */
export interface Effect {
  readonly index: number;
  /** What it came to, in a form that compares. */
  readonly text: string;
  /** Revisions before it, and with it. */
  readonly before: number;
  readonly revision: number;
}

/** A command was applied for the first time. */
export interface AppliedFirst {
  readonly identity: string | null;
  readonly effect: Effect;
  readonly result: KvResult;
  /** What was stamped into it, 0 where it depends on no time. */
  readonly time: number;
}

interface AppliedEntry {
  readonly index: number;
  readonly term: number;
  readonly crc: number;
  readonly payload: Uint8Array;
}

export class Reference {
  /** The highest index that anybody applied. */
  lastIndex = 0;
  readonly model: Model = new Model();
  /** A key's items by revision, ascending; null where it was deleted. */
  readonly #history = new Map<
    Key,
    { readonly revision: number; readonly item: ModelItem | null }[]
  >();
  readonly #committed = new Map<number, Committed>();
  readonly #effects = new Map<string, Effect[]>();
  /** Those of no client. */
  readonly #own: Effect[] = [];
  /** When each revision was first applied; index 0 is revision 1. */
  readonly #times: number[] = [];
  #itemsHash = 0;

  /** Some replica applied this. Returns what is wrong, or null; `first` where it is the first to. */
  applied(
    entry: AppliedEntry,
    result: KvResult,
    now: number,
  ): { readonly wrong: string | null; readonly first: AppliedFirst | null } {
    const { index, term, crc } = entry;
    const text = resultText(result);
    const known = this.#committed.get(index);
    if (known !== undefined) {
      const isSame = known.term === term && known.crc === crc && known.result === text;
      const wrong = `applied ${index}@${term} (${crc}) with ${text}, another had ` +
        `${index}@${known.term} (${known.crc}) with ${known.result}`;
      return { wrong: isSame ? null : wrong, first: null };
    }
    if (index <= this.lastIndex) {
      return { wrong: `applied a command at ${index}, where others had none`, first: null };
    }
    const command = decodeCommand(entry.payload);
    const time = timeOf(entry.payload);
    const before = this.model.revision;
    const expected = resultText(this.model.run(command, time));
    const { revision } = this.model;
    for (let each = before + 1; each <= revision; each++) {
      this.#times.push(now);
      for (const event of this.model.changes(each)) this.#changed(each, event);
    }
    this.lastIndex = index;
    this.#committed.set(index, { term, crc, result: text, stateHash: this.#stateHash() });
    const effect = { index, text, before, revision };
    const identity = identityOf(command);
    if (identity === null) this.#own.push(effect);
    else this.#effects.set(identity, [...this.effects(identity), effect]);
    const wrong = expected === text ? null : `${index} gave ${text} instead of ${expected}`;
    return { wrong, first: { identity, effect, result, time } };
  }

  /** Where commands of one identity stand, in order. */
  effects(identity: string): readonly Effect[] {
    return this.#effects.get(identity) ?? [];
  }

  /** What leaders did by themselves. */
  get own(): readonly Effect[] {
    return this.#own;
  }

  get revision(): number {
    return this.model.revision;
  }

  /** The chain's CRC at the last index that anybody applied, if it is that of a command. */
  get last(): { readonly index: number; readonly crc: number } {
    return { index: this.lastIndex, crc: this.#committed.get(this.lastIndex)?.crc ?? 0 };
  }

  /** What a key held at a revision. */
  at(key: Key, revision: number): ModelItem | null {
    return this.#history.get(key)?.findLast((each) => each.revision <= revision)?.item ?? null;
  }

  /** All that was held at a revision in a range, in order. */
  rangeAt(start: Key, end: Key | null, revision: number): (readonly [Key, ModelItem])[] {
    const held: (readonly [Key, ModelItem])[] = [];
    for (const key of this.keys) {
      if (key < start || (end !== null && key >= end)) continue;
      const item = this.at(key, revision);
      if (item !== null) held.push([key, item]);
    }
    return held;
  }

  /** All keys that there ever were, in order. */
  get keys(): readonly Key[] {
    return [...this.#history.keys()].sort();
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

  /** The hash of the state after the last command at or before `index`. */
  stateHashAt(index: number): number {
    return this.#committed.get(this.commandAt(index))?.stateHash ??
      plus(floorHash(0), versionHash(1));
  }

  /** Where the last command stands at or before `index`; 0 where there is none. */
  commandAt(index: number): number {
    for (let at = index; at > 0; at--) if (this.#committed.has(at)) return at;
    return 0;
  }

  #changed(revision: number, { key, item, previous }: ModelEvent): void {
    if (previous !== null) this.#itemsHash = minus(this.#itemsHash, itemHash(key, previous));
    if (item !== null) this.#itemsHash = plus(this.#itemsHash, itemHash(key, item));
    const history = this.#history.get(key) ?? [];
    if (history.length === 0) this.#history.set(key, history);
    history.push({ revision, item });
  }

  #stateHash(): number {
    let hash = plus(this.#itemsHash, floorHash(this.model.floor));
    hash = plus(hash, versionHash(this.model.version));
    for (const [id, lease] of this.model.leases) hash = plus(hash, leaseHash(id, lease));
    return hash;
  }
}
