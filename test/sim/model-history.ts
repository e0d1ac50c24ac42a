/** How far back the past reaches, by the rule alone: so many revisions, so many bytes, the oldest go first. */
import type { HistoryLimits } from "../../src/kv/command.ts";
import { defaultContentType } from "../../src/kv/command.ts";
import type { ModelEvent, ModelItem } from "./model.ts";

/** Bytes of a change, of an event, and of a record before what they hold (`history-format.ts`, `record.ts`). */
const changeBytes = 16;
const eventBytes = 9;
const recordBytes = 32;
const extrasBytes = 18;

export class ModelHistory {
  /** The oldest revision at which the state can be read. */
  floor = 0;
  #limits: HistoryLimits;
  readonly #lengths: number[] = [];
  #bytes = 0;

  constructor(limits: HistoryLimits) {
    this.#limits = limits;
  }

  set limits(limits: HistoryLimits) {
    this.#limits = limits;
    this.#forget();
  }

  /** One more revision. What alone is too large takes all that is before it along. */
  add(events: readonly ModelEvent[]): void {
    const length = events.reduce((sum, event) => sum + lengthOf(event), changeBytes);
    this.#lengths.push(length);
    this.#bytes += length;
    this.#forget();
  }

  #forget(): void {
    const { revisionsMax, bytesMax } = this.#limits;
    while (this.#lengths.length > revisionsMax || this.#bytes > bytesMax) {
      this.#bytes -= this.#lengths.shift() ?? 0;
      this.floor++;
    }
  }
}

function lengthOf({ key, previous }: ModelEvent): number {
  return eventBytes + (previous === null ? 2 + key.length : recordOf(key, previous));
}

function recordOf(
  key: string,
  { contentType, value, metadata, lease, due }: ModelItem,
): number {
  const type = contentType === defaultContentType ? 0 : contentType.length;
  const extras = metadata === null && lease === null && due === null
    ? 0
    : extrasBytes + (metadata?.length ?? 0);
  return recordBytes + key.length + type + extras + value.length;
}
