/** Reads an answer's server-sent events as a client does that asks for one after the other. */
import assert from "node:assert/strict";

/** An event, with its data as an object. */
export interface SentEvent {
  readonly id: number;
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** A change as `key=value`, or `-key` where it was deleted; text and base64 alike. */
export function shown({ event, data }: SentEvent): string {
  return event === "delete"
    ? `-${String(data["key"])}`
    : `${String(data["key"])}=${String(data["value"])}`;
}

export class EventReader {
  /** The changes of each piece that came, for those who ask what came together. */
  readonly pieces: (readonly SentEvent[])[] = [];
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #waiting: SentEvent[] = [];

  constructor({ status, body }: Response) {
    assert.equal(status, 200);
    assert.ok(body);
    this.#reader = body.getReader();
  }

  /** The next event; null at the end. */
  async next(): Promise<SentEvent | null> {
    for (;;) {
      const event = this.#waiting.shift();
      if (event !== undefined) return event;
      if (!(await this.#read())) return null;
    }
  }

  /** The next so many changes, without what comes between them. */
  async changes(count: number): Promise<SentEvent[]> {
    const changes: SentEvent[] = [];
    while (changes.length < count) {
      const event = await this.next();
      assert.ok(event, `the stream ended after ${changes.length} of ${count} changes`);
      if (isChange(event)) changes.push(event);
      else assert.equal(event.event, "progress");
    }
    return changes;
  }

  /** All that is left, to the end. */
  async rest(): Promise<SentEvent[]> {
    const events: SentEvent[] = [];
    for (;;) {
      const event = await this.next();
      if (event === null) return events;
      events.push(event);
    }
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel();
  }

  async #read(): Promise<boolean> {
    const { done, value } = await this.#reader.read();
    if (done) return false;
    const text = this.#decoder.decode(value, { stream: true });
    assert.ok(text.endsWith("\n\n"), "a piece holds whole events");
    const events = text.slice(0, -2).split("\n\n").map(parse);
    this.pieces.push(events.filter(isChange));
    this.#waiting.push(...events);
    return true;
  }
}

export function isChange({ event }: SentEvent): boolean {
  return event === "put" || event === "delete";
}

/** Fields are asked for in the one order that they are written in. */
function parse(text: string): SentEvent {
  const [, id = "", event = "", data = ""] =
    /^id: (\d+)\nevent: ([a-z]+)\ndata: ([^\n]*)$/.exec(text) ?? assert.fail(text);
  const parsed: unknown = JSON.parse(data);
  assert.ok(typeof parsed === "object" && parsed !== null);
  return { id: Number(id), event, data: Object.fromEntries(Object.entries(parsed)) };
}
