import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createJsonLogger, type LogSink } from "../../src/adapters/json-logger.ts";

/** A standard error whose reader stops (`hold`), goes on (`release`), fails, or takes a few bytes at a time. */
class Reader {
  text = "";
  isHeld = false;
  error: Error | null = null;
  bytesAtOnce = Infinity;
  writes = 0;
  #release: () => void = () => {};

  readonly sink: LogSink = async (bytes) => {
    this.writes++;
    if (this.isHeld) await new Promise<void>((resolve) => this.#release = resolve);
    if (this.error !== null) throw this.error;
    const taken = bytes.subarray(0, this.bytesAtOnce);
    this.text += new TextDecoder().decode(taken);
    return taken.length;
  };

  /** Lets the write that is held go; the next one is held again. */
  releaseOne(): void {
    this.#release();
  }

  release(): void {
    this.isHeld = false;
    this.#release();
  }

  lines(): Record<string, unknown>[] {
    return this.text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  }
}

const long = 10_000;

describe("JSON logger", () => {
  it("writes one JSON object a line, with time, level, message and fields", async () => {
    const reader = new Reader();
    const logger = createJsonLogger({ level: "info", sink: reader.sink, wallNow: () => 0 });
    logger.log("info", "a line\nbreak", { peer: "n2", count: 3n });
    logger.log("error", "second");
    await logger.flush(long);
    assert.deepEqual(reader.lines(), [
      {
        peer: "n2",
        count: "3",
        time: "1970-01-01T00:00:00.000Z",
        level: "info",
        message: "a line\nbreak",
      },
      { time: "1970-01-01T00:00:00.000Z", level: "error", message: "second" },
    ]);
    assert.equal(reader.writes, 1);
  });

  it("leaves out what is below its level", async () => {
    const reader = new Reader();
    const logger = createJsonLogger({ level: "warn", sink: reader.sink });
    logger.log("debug", "no");
    logger.log("info", "no");
    logger.log("warn", "yes");
    await logger.flush(long);
    assert.deepEqual(reader.lines().map((line) => line["message"]), ["yes"]);
  });

  it("28 drops lines while its reader is stopped, and says how many when it goes on", async () => {
    const reader = new Reader();
    reader.isHeld = true;
    const logger = createJsonLogger({ level: "info", sink: reader.sink, queueBytesMax: 1000 });
    for (let n = 0; n < 100; n++) logger.log("info", `line ${n}`);
    await Promise.resolve();
    const flushed = logger.flush(long);
    reader.release();
    await flushed;
    const lines = reader.lines();
    const last = lines.at(-1);
    assert.equal(last?.["message"], "log lines were dropped");
    assert.equal(Number(last?.["dropped"]) + lines.length - 1, 100);
    assert.ok(reader.text.length < 1200);
  });

  it("counts what is being written against the bound", async () => {
    const reader = new Reader();
    reader.isHeld = true;
    const logger = createJsonLogger({ level: "info", sink: reader.sink, queueBytesMax: 1000 });
    let logged = 0;
    const fill = async (): Promise<void> => {
      for (let n = 0; n < 20; n++) logger.log("info", `line ${logged++}`);
      await new Promise((resolve) => setImmediate(resolve));
    };
    for (let write = 0; write < 4; write++) {
      await fill();
      reader.releaseOne();
    }
    await fill();
    await fill();
    const before = reader.text.length;
    reader.release();
    await logger.flush(long);
    const held = reader.text.length - before;
    assert.ok(held < 1200, `${held} bytes were held`);
  });

  it("28 survives a sink that fails, without asking it again for the same lines", async () => {
    const reader = new Reader();
    reader.error = Object.assign(new Error("no space"), { code: "ENOSPC" });
    const logger = createJsonLogger({ level: "info", sink: reader.sink });
    logger.log("info", "lost");
    await logger.flush(long);
    assert.equal(reader.writes, 1);
    reader.error = null;
    logger.log("info", "kept");
    await logger.flush(long);
    assert.deepEqual(
      reader.lines().map((line) => [line["message"], line["dropped"]]),
      [["kept", undefined], ["log lines were dropped", 1]],
    );
  });

  it("writes the rest of a line that went out in pieces", async () => {
    const reader = new Reader();
    reader.bytesAtOnce = 7;
    const logger = createJsonLogger({ level: "info", sink: reader.sink });
    logger.log("info", "in pieces");
    await logger.flush(long);
    assert.deepEqual(reader.lines().map((line) => line["message"]), ["in pieces"]);
  });

  it("gives up flushing where the reader never goes on", async () => {
    const reader = new Reader();
    reader.isHeld = true;
    const logger = createJsonLogger({ level: "info", sink: reader.sink });
    logger.log("info", "stuck");
    await logger.flush(1);
    assert.equal(reader.text, "");
    reader.release();
  });

  it("shows neither secrets nor bytes, and cuts what is long", async () => {
    const reader = new Reader();
    const logger = createJsonLogger({ level: "info", sink: reader.sink });
    const circular: Record<string, unknown> = {};
    circular["self"] = circular;
    logger.log("info", "fields", {
      secret: "s3cret-s3cret",
      nested: { authorization: "Bearer s3cret" },
      value: new Uint8Array(5),
      text: "x".repeat(5000),
    });
    logger.log("info", "circular", circular);
    logger.log("info", "many", { list: Array.from({ length: 5000 }, (_, n) => n) });
    await logger.flush(long);
    assert.doesNotMatch(reader.text, /s3cret/);
    const [fields, round, many] = reader.lines();
    assert.equal(fields?.["value"], "[5 bytes]");
    assert.equal(String(fields?.["text"]).length, 1025);
    assert.equal(round?.["fields"], "not JSON");
    assert.equal(many?.["truncated"], true);
  });
});
