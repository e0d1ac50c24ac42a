/**
 * Events as server-sent events (WHATWG HTML, section 9.2): each is put into text once for each form that watchers want
 * it in, however many there are. JSON has no bare line break, so its text is one `data:` line.
 */
import { itemInJson, keyInJson } from "../items.ts";
import type { WatchDelete, WatchOverflow, WatchProgress, WatchPut, WatchRefused } from "../wire.ts";
import type { ChangeEvent } from "../../kv/store.ts";

/** What data holds: the item, or beside it what the key held before. */
export type Form = "plain" | "previous";

/** An event of the store, and its text in the forms that were asked for. */
export class TextEvent {
  readonly #event: ChangeEvent;
  readonly #revision: number;
  readonly #texts: Partial<Record<Form, string>> = {};

  constructor(event: ChangeEvent, revision: number) {
    this.#event = event;
    this.#revision = revision;
  }

  /** Without the brace and the line breaks that end it: {@link partText} knows what stands before them. */
  text(form: Form): string {
    return this.#texts[form] ??= this.#format(form);
  }

  #format(form: Form): string {
    const { key, item, previous } = this.#event;
    const before = previous === null ? null : itemInJson(key, previous, previous.value);
    const extra = form === "plain" ? {} : { previous: before };
    const data: WatchPut | WatchDelete = item === null
      ? { ...keyInJson(key), revision: this.#revision, ...extra }
      : { ...itemInJson(key, item, item.value), ...extra };
    const name = item === null ? "delete" : "put";
    return `id: ${this.#revision}\nevent: ${name}\ndata: ${JSON.stringify(data).slice(0, -1)}`;
  }
}

/** The events of one revision that concern a watcher. */
export interface Part {
  readonly revision: number;
  readonly events: TextEvent[];
}

/** Bytes for a stream: whole revisions, or one event that is not the store's. */
export interface Chunk {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The revision of the first event in it: whoever has had all before the chunk has seen all before that. */
  readonly first: number;
  /** How many queues it lies in. */
  holders: number;
}

/** A chunk ends with the first revision that makes it so long. */
const chunkCharactersMax = 64 * 1024;
const encoder = new TextEncoder();

/** `parts`, which are in order, as chunks. */
export function chunksOf(parts: readonly Part[], form: Form): Chunk[] {
  const chunks: Chunk[] = [];
  let text = "";
  let first = 0;
  for (const part of parts) {
    if (text === "") first = part.revision;
    text += partText(part, form);
    if (text.length < chunkCharactersMax) continue;
    chunks.push(chunk(text, first));
    text = "";
  }
  if (text !== "") chunks.push(chunk(text, first));
  return chunks;
}

/** Every event but the last of its revision says that more of it follow. */
function partText({ events }: Part, form: Form): string {
  const last = events.length - 1;
  let text = "";
  for (const [at, event] of events.entries()) {
    text += event.text(form) + (at === last ? "}\n\n" : ',"more":true}\n\n');
  }
  return text;
}

/** Tells that all up to `revision` was sent. */
export function progressChunk(data: WatchProgress): Chunk {
  return mark("progress", data);
}

/** Tells a watcher that is about to be closed up to which revision it has everything. */
export function overflowChunk(data: WatchOverflow): Chunk {
  return mark("overflow", data);
}

/** Tells a watcher that is about to be closed why it may not go on. */
export function refusedChunk(data: WatchRefused): Chunk {
  return mark("refused", data);
}

function mark(name: string, data: WatchProgress | WatchOverflow | WatchRefused): Chunk {
  const { revision } = data;
  const text = `id: ${revision}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
  return chunk(text, revision + 1);
}

function chunk(text: string, first: number): Chunk {
  return { bytes: encoder.encode(text), first, holders: 0 };
}

/** Chunks as one run of bytes. */
export function joined(chunks: readonly Chunk[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(chunks.reduce((length, one) => length + one.bytes.length, 0));
  let at = 0;
  for (const one of chunks) {
    bytes.set(one.bytes, at);
    at += one.bytes.length;
  }
  return bytes;
}
