/** Server-sent events (HTML Standard, 9.2), as they come out of a response's body. */

/** One event. */
export interface ServerEvent {
  /** `message` where it isn't said. */
  readonly type: string;
  readonly data: string;
  /** The last id that was said, by this event or an earlier one; empty where none was. */
  readonly id: string;
}

/** What one event may take: a value and its predecessor, base64 and JSON around them, and room to spare. */
const EVENT_CHARACTERS_MAX = 64 * 1024 * 1024;

/** Puts events together from pieces of a stream. */
export class EventStream {
  readonly #decoder = new TextDecoder("utf-8");
  /** The pieces of a line whose end has not come. */
  #pieces: string[] = [];
  /** Characters since the last event. */
  #length = 0;
  /** The last piece ended with CR: an LF in front of the next one belongs to it. */
  #endsWithReturn = false;
  #type = "";
  #data: string[] = [];
  #id = "";

  /** The events that `chunk` completes. Throws where one is too long. */
  push(chunk: Uint8Array): ServerEvent[] {
    let text = this.#decoder.decode(chunk, { stream: true });
    if (text === "") return [];
    if (this.#endsWithReturn && text.startsWith("\n")) text = text.slice(1);
    this.#length += text.length;
    this.#endsWithReturn = text.endsWith("\r");
    const lines = text.split(/\r\n|\n|\r/);
    const rest = lines.pop() ?? "";
    const events: ServerEvent[] = [];
    for (const line of lines) {
      const event = this.#line(this.#pieces.join("") + line);
      this.#pieces = [];
      if (event !== null) events.push(event);
    }
    if (rest !== "") this.#pieces.push(rest);
    if (events.length > 0) this.#length = rest.length;
    if (this.#length > EVENT_CHARACTERS_MAX) throw new Error("an event without an end");
    return events;
  }

  #line(line: string): ServerEvent | null {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#type = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    return null;
  }

  #dispatch(): ServerEvent | null {
    const type = this.#type || "message";
    const data = this.#data;
    this.#type = "";
    this.#data = [];
    return data.length === 0 ? null : { type, data: data.join("\n"), id: this.#id };
  }
}
