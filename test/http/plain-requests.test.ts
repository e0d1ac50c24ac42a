/** What counts as a plain request, and how it is answered, byte by byte; the way through a server is the matrix's. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { Socket } from "node:net";
import { PlainAnswer } from "../../runtimes/plain-answer.ts";
import { plainRequest } from "../../runtimes/plain-requests.ts";

const socket = new Socket();
const request = (text: string) => plainRequest(Buffer.from(text, "latin1"), socket);
const lines = (...parts: string[]): string => parts.join("\r\n");

describe("a plain request", () => {
  it("is read as it was sent", () => {
    const sent = lines("PUT /v1/kv/a%20b?x#y HTTP/1.1", "Host: h", "X-A:b: c", "Content-Length: 2");
    const incoming = request(`${sent}\r\n\r\n\xff\r`);
    assert.ok(incoming);
    const { method, url, headers, rawHeaders, rawBody } = incoming;
    assert.equal(method, "PUT");
    assert.equal(url, "/v1/kv/a%20b?x#y");
    assert.deepEqual(headers, { "host": "h", "x-a": "b: c", "content-length": "2" });
    assert.deepEqual(rawHeaders, ["Host", "h", "X-A", "b: c", "Content-Length", "2"]);
    assert.deepEqual([...rawBody], [0xff, 0x0d]);
  });

  it("may say what is meant anyway", () => {
    assert.ok(request(lines("GET / HTTP/1.1", "host: h", "connection: keep-alive", "", "")));
    assert.ok(request(lines("DELETE / HTTP/1.1", "host: h", "content-length: 0", "", "")));
  });

  const head = (...fields: string[]) => lines("PUT / HTTP/1.1", "Host: h", ...fields, "", "");
  const others: Readonly<Record<string, string>> = {
    "no whole head": "GET / HTTP/1.1\r\nHost: h\r\n",
    "nothing": "",
    "another version": lines("GET / HTTP/1.0", "Host: h", "", ""),
    "HEAD": lines("HEAD / HTTP/1.1", "Host: h", "", ""),
    "another method": lines("BREW / HTTP/1.1", "Host: h", "", ""),
    "another form of target": lines("GET http://h/ HTTP/1.1", "Host: h", "", ""),
    "a space in the target": lines("GET /a b HTTP/1.1", "Host: h", "", ""),
    "a byte beyond ASCII in the target": lines("GET /\xe9 HTTP/1.1", "Host: h", "", ""),
    "no host": lines("GET / HTTP/1.1", "", ""),
    "two hosts": head("host: i"),
    "a field twice": head("X-A: b", "x-a: b"),
    "a field without a name": head(": b"),
    "a space before a colon": head("X-A : b"),
    "a field without a value": head("X-A:"),
    "a value with white space around it": head("X-A:  b"),
    "a value with white space behind it": head("X-A: b "),
    "a folded field": head("X-A: b", " c"),
    "a bare line feed": head("X-A: b\nX-B: c"),
    "a bare carriage return": head("X-A: b\rX-B: c"),
    "a control character": head("X-A: b\0"),
    "an object's own name": head("__proto__: b"),
    "chunks": head("Transfer-Encoding: chunked") + "0\r\n\r\n",
    "chunks and a length": head("Transfer-Encoding: chunked", "Content-Length: 5") + "0\r\n\r\n",
    "an expectation": head("Expect: 100-continue"),
    "an upgrade": head("Connection: Upgrade", "Upgrade: h2c"),
    "a connection to close": head("Connection: close"),
    "a part of a body": head("Content-Length: 3") + "ab",
    "more than a body": head("Content-Length: 1") + "ab",
    "a body of no length": head() + "ab",
    "a length in another spelling": head("Content-Length: 02") + "ab",
    "two lengths in one": head("Content-Length: 2, 2") + "ab",
    "a negative length": head("Content-Length: -2") + "ab",
    "two requests": head().repeat(2),
    "a body with GET": head("Content-Length: 2").replace("PUT", "GET") + "ab",
    "a long head": head(`X-A: ${"b".repeat(4096)}`),
  };
  for (const [what, text] of Object.entries(others)) {
    it(`is not one with: ${what}`, () => assert.equal(request(text), null));
  }
});

/** What an answer wrote, without what changes by the second. */
function written(answer: (outgoing: PlainAnswer) => void): { text: string; answered: number } {
  const sink = new Socket();
  let text = "";
  let answered = 0;
  sink.write = (data: string | Uint8Array, encoding?: unknown): boolean => {
    const bytes = typeof data === "string"
      ? Buffer.from(data, encoding === "latin1" ? "latin1" : "utf8")
      : data;
    text += Buffer.from(bytes).toString("latin1");
    return true;
  };
  const end = { closing: false, keepAliveSeconds: 5, answered: () => answered++ };
  answer(new PlainAnswer(sink, end));
  return { text: text.replace(/^Date: .* GMT\r\n/m, ""), answered };
}

const keptAlive = lines("Connection: keep-alive", "Keep-Alive: timeout=5", "", "");

describe("an answer to a plain request", () => {
  it("is written with its length", () => {
    const text = written((outgoing) => {
      outgoing.writeHead(201, { "etag": '"1"', "set-cookie": ["a=b", "c=d"] });
      outgoing.end("é");
    });
    const head = ["HTTP/1.1 201 Created", 'etag: "1"', "set-cookie: a=b", "set-cookie: c=d"];
    assert.deepEqual(text, {
      text: lines(...head, "Content-Length: 2", keptAlive) + "\xc3\xa9",
      answered: 1,
    });
  });

  it("is written alike from bytes, few and many", () => {
    for (const length of [0, 3, 100_000]) {
      const { text } = written((outgoing) => {
        outgoing.writeHead(200, { "content-length": length });
        outgoing.end(new Uint8Array(length).fill(0x61));
      });
      const head = lines("HTTP/1.1 200 OK", `content-length: ${length}`, keptAlive);
      assert.equal(text, head + "a".repeat(length));
    }
  });

  it("has no body where its status has none", () => {
    for (const [status, reason] of [[204, "No Content"], [304, "Not Modified"]] as const) {
      const { text } = written((outgoing) => {
        outgoing.writeHead(status);
        outgoing.end("body");
      });
      assert.equal(text, lines(`HTTP/1.1 ${status} ${reason}`, keptAlive));
    }
  });

  it("comes in chunks where its length is not known", () => {
    const { text, answered } = written((outgoing) => {
      outgoing.writeHead(200, { connection: "close" });
      outgoing.flushHeaders();
      outgoing.write(Buffer.from("0123456789abcdef"));
      outgoing.write(Buffer.from(""));
      outgoing.write(Buffer.from("x"));
      outgoing.end();
    });
    const head = lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", keptAlive);
    assert.equal(text, `${head}10\r\n0123456789abcdef\r\n1\r\nx\r\n0\r\n\r\n`);
    assert.equal(answered, 1);
  });

  it("takes no header that could begin another one", () => {
    for (const value of ["a\r\nb: c", "a\nb", "a\0", "é"]) {
      assert.throws(() => written((outgoing) => outgoing.writeHead(200, { a: value })), TypeError);
    }
    assert.throws(() => written((outgoing) => outgoing.writeHead(200, { "a b": "c" })), TypeError);
  });
});
