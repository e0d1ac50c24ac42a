import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EventStream, type ServerEvent } from "../../src/client/event-stream.ts";

const encoder = new TextEncoder();

function parse(text: string, sizes: (at: number) => number): ServerEvent[] {
  const bytes = encoder.encode(text);
  const stream = new EventStream();
  const events: ServerEvent[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = Math.max(1, sizes(at));
    events.push(...stream.push(bytes.subarray(at, at + size)));
    at += size;
  }
  return events;
}

describe("an event stream", () => {
  it("says what it says, wherever it is cut into pieces", () => {
    const text = 'id: 6\r\ndata: z\r\n\n: hello\n\nid: 7\nevent: put\ndata: {"key":"ü😀"}\n\n' +
      "id:8\r\nevent:delete\r\ndata:a\r\ndata: b\r\n\r\ndata\r\rdata: d\n\nevent: none\n\nid: 9\ndata: e";
    const expected = [
      { type: "message", data: "z", id: "6" },
      { type: "put", data: '{"key":"ü😀"}', id: "7" },
      { type: "delete", data: "a\nb", id: "8" },
      { type: "message", data: "", id: "8" },
      { type: "message", data: "d", id: "8" },
    ];
    const { length } = encoder.encode(text);
    assert.deepEqual(parse(text, () => length), expected);
    assert.deepEqual(parse(text, () => 1), expected);
    for (let cut = 1; cut < length; cut++) {
      assert.deepEqual(parse(text, (at) => (at === 0 ? cut : length)), expected, `cut at ${cut}`);
    }
  });

  it("ends a line once, however its end is cut", () => {
    const mixed = "data: a\r\n\ndata: b\n\n";
    assert.deepEqual(parse(mixed, () => 1).map(({ data }) => data), ["a", "b"]);
  });

  it("bounds what it waits for the end of", () => {
    const long = "x".repeat(1024 * 1024);
    for (const piece of [long, `data: ${long}\n`]) {
      const stream = new EventStream();
      const chunk = encoder.encode(piece);
      const pushed = (): void => {
        for (let at = 0; at < 65; at++) stream.push(chunk);
      };
      assert.throws(pushed, /without an end/);
    }
  });
});
