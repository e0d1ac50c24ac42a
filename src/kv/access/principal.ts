/** What a token may do, made of all grants of its roles. */
import type { Key } from "../key.ts";
import type { KeyRange } from "../ordered-map.ts";
import { type Grant, rootRole, type Token, type Verb } from "./grant.ts";

/** What something needs: a verb over all of a range; a null range is "over any". */
export interface Need {
  readonly verb: Verb | typeof rootRole;
  readonly range: KeyRange | null;
  /** Where only some keys of the range are meant: the first of them in a part of it. */
  readonly firstIn?: (part: KeyRange) => Key | undefined;
}

/** All keys. */
export const everywhere: KeyRange = { start: "", end: null };

export class Principal {
  readonly token: Token;
  readonly isRoot: boolean;
  readonly #ranges: ReadonlyMap<Verb, readonly KeyRange[]>;

  constructor(token: Token, grants: readonly Grant[]) {
    this.token = token;
    this.isRoot = token.roles.includes(rootRole);
    this.#ranges = rangesOf(grants);
  }

  /** Whether it may do all of what needs this. */
  may(needs: readonly Need[]): boolean {
    return this.isRoot || needs.every((need) => this.#has(need));
  }

  #has({ verb, range, firstIn }: Need): boolean {
    if (verb === rootRole) return false;
    const ranges = this.#ranges.get(verb) ?? [];
    if (firstIn !== undefined) {
      return [...gapsOf(ranges)].every((gap) => firstIn(gap) === undefined);
    }
    if (ranges.length === 0) return false;
    if (range === null || isEmpty(range)) return true;
    return covers(ranges, range);
  }
}

/** By verb, in order; none of them touch, so that a range which is granted lies in one of them. */
function rangesOf(grants: readonly Grant[]): ReadonlyMap<Verb, readonly KeyRange[]> {
  const granted = new Map<Verb, KeyRange[]>();
  for (const { verbs, start, end } of grants) {
    if (isEmpty({ start, end })) continue;
    for (const verb of verbs) {
      const ranges = granted.get(verb);
      if (ranges === undefined) granted.set(verb, [{ start, end }]);
      else ranges.push({ start, end });
    }
  }
  return new Map([...granted].map(([verb, ranges]) => [verb, merged(ranges)]));
}

function merged(ranges: readonly KeyRange[]): readonly KeyRange[] {
  const sorted = ranges.toSorted((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
  const result: KeyRange[] = [];
  for (const range of sorted) {
    const last = result.at(-1);
    if (last !== undefined && (last.end === null || range.start <= last.end)) {
      result[result.length - 1] = { start: last.start, end: later(last.end, range.end) };
    } else {
      result.push(range);
    }
  }
  return result;
}

/** What lies before, between and behind ranges that are in order and don't touch. */
function* gapsOf(ranges: readonly KeyRange[]): Generator<KeyRange, void> {
  let start: Key | null = everywhere.start;
  for (const range of ranges) {
    if (start !== null && start < range.start) yield { start, end: range.start };
    start = range.end;
  }
  if (start !== null) yield { start, end: null };
}

function later(a: Key | null, b: Key | null): Key | null {
  if (a === null || b === null) return null;
  return a > b ? a : b;
}

function isEmpty({ start, end }: KeyRange): boolean {
  return end !== null && end <= start;
}

/** Whether one of `ranges`, which are in order and don't touch, holds all of a range that isn't empty. */
function covers(ranges: readonly KeyRange[], { start, end }: KeyRange): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ranges[middle]!.start <= start) low = middle + 1;
    else high = middle;
  }
  const found = ranges[low - 1];
  if (found === undefined) return false;
  return found.end === null || (end !== null && end <= found.end);
}
