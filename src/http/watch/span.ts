/** A run of changes, read once and given out to the groups of watchers that they concern. */
import { invariant } from "../../assert.ts";
import { type Chunk, chunksOf, type Form, type Part, TextEvent } from "./event-text.ts";
import type { Group, Groups } from "./groups.ts";
import type { ChangeLog } from "./source.ts";

/** A span ends with the first revision that reaches one of these. */
const spanEventsMax = 512;
const spanBytesMax = 256 * 1024;

export interface Span {
  /** The first revision in it, and the last. */
  readonly first: number;
  readonly upTo: number;
  /** Whom it concerns; others have nothing to be told. */
  readonly concerned: readonly Concern[];
}

/** Reads from the revision `first` on, which is behind the log's floor, as far as a span may reach. */
export function readSpan(log: ChangeLog, groups: Groups, first: number): Span {
  const touched = new Set<Group>();
  let upTo = first - 1;
  let events = 0;
  let bytes = 0;
  while (upTo < log.revision && events < spanEventsMax && bytes < spanBytesMax) {
    const change = log.change(++upTo);
    invariant(change !== null, "changes behind the floor are kept");
    events += change.events.length;
    for (const each of change.events) {
      const event = new TextEvent(each, change.revision);
      bytes += each.key.length + (each.item?.value.length ?? 0);
      groups.eachFor(each.key, (group) => {
        touched.add(group);
        const last = group.parts.at(-1);
        if (last?.revision === change.revision) last.events.push(event);
        else group.parts.push({ revision: change.revision, events: [event] });
      });
    }
  }
  const concerned = [...touched].map((group) => {
    const { parts } = group;
    group.parts = [];
    return new Concern(group, parts);
  });
  return { first, upTo, concerned };
}

/** What a span holds for one group, as chunks that its watchers share. */
export class Concern {
  readonly group: Group;
  readonly #parts: readonly Part[];
  /** By form, and by how many of the first parts are left out. */
  readonly #chunks = new Map<string, readonly Chunk[]>();

  constructor(group: Group, parts: readonly Part[]) {
    this.group = group;
    this.#parts = parts;
  }

  /** For those who have everything up to the revision `after`. */
  chunks(form: Form, after: number): readonly Chunk[] {
    const all = this.#parts;
    let skipped = 0;
    while (skipped < all.length && all[skipped]!.revision <= after) skipped++;
    const name = `${form}/${skipped}`;
    let chunks = this.#chunks.get(name);
    if (chunks === undefined) {
      chunks = chunksOf(skipped === 0 ? all : all.slice(skipped), form);
      this.#chunks.set(name, chunks);
    }
    return chunks;
  }
}
