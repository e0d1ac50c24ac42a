/**
 * Watchers by what they watch. Those with the same filter are one group, which is found from a key by a look into a map
 * for exact keys and one for each length that a prefix has; only other ranges are gone through, one after the other.
 */
import { invariant } from "../../assert.ts";
import type { Key } from "../../kv/key.ts";
import type { Part } from "./event-text.ts";
import type { Filter } from "./filter.ts";
import type { Watcher } from "./watcher.ts";

/** Watchers with one filter. */
export class Group {
  readonly filter: Filter;
  readonly watchers: Set<Watcher> = new Set();
  /** What the changes that are being read hold for this group, in order of revisions. */
  parts: Part[] = [];

  constructor(filter: Filter) {
    this.filter = filter;
  }
}

export class Groups {
  readonly #keys = new Map<Key, Group>();
  /** By the prefixes' length. */
  readonly #prefixes = new Map<number, Map<Key, Group>>();
  /** By both bounds. */
  readonly #ranges = new Map<string, Group>();
  readonly #groupOf = new Map<Watcher, Group>();

  /** Watchers held. */
  get size(): number {
    return this.#groupOf.size;
  }

  watchers(): Iterable<Watcher> {
    return this.#groupOf.keys();
  }

  groupOf(watcher: Watcher): Group | undefined {
    return this.#groupOf.get(watcher);
  }

  add(watcher: Watcher): void {
    const { filter } = watcher;
    const [groups, name] = this.#place(filter);
    let group = groups.get(name);
    if (group === undefined) {
      group = new Group(filter);
      groups.set(name, group);
    }
    group.watchers.add(watcher);
    this.#groupOf.set(watcher, group);
  }

  /** Whether it was here. */
  remove(watcher: Watcher): boolean {
    const group = this.#groupOf.get(watcher);
    if (group === undefined) return false;
    this.#groupOf.delete(watcher);
    group.watchers.delete(watcher);
    if (group.watchers.size > 0) return true;
    const { filter } = group;
    const [groups, name] = this.#place(filter);
    invariant(groups.delete(name), "a group stands in its place");
    if (filter.type === "prefix" && groups.size === 0) {
      this.#prefixes.delete(filter.prefix.length);
    }
    return true;
  }

  /** Calls `visit` with each group that a change of `key` concerns. */
  eachFor(key: Key, visit: (group: Group) => void): void {
    const exact = this.#keys.get(key);
    if (exact !== undefined) visit(exact);
    for (const [length, groups] of this.#prefixes) {
      if (length > key.length) continue;
      const group = groups.get(length === key.length ? key : key.slice(0, length));
      if (group !== undefined) visit(group);
    }
    for (const group of this.#ranges.values()) {
      const { filter } = group;
      if (filter.type !== "range" || key < filter.start) continue;
      if (filter.end === null || key < filter.end) visit(group);
    }
  }

  /** Where a filter's group stands: in which map, and under which name. */
  #place(filter: Filter): [Map<string, Group>, string] {
    switch (filter.type) {
      case "key":
        return [this.#keys, filter.key];
      case "prefix": {
        const { prefix } = filter;
        let groups = this.#prefixes.get(prefix.length);
        if (groups === undefined) {
          groups = new Map();
          this.#prefixes.set(prefix.length, groups);
        }
        return [groups, prefix];
      }
      case "range": {
        const { start, end } = filter;
        const form = end === null ? "-" : "+";
        return [this.#ranges, `${start.length}${form}${start}${end ?? ""}`];
      }
    }
  }
}
