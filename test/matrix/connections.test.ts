/** Requests as they come on a connection: in pieces, together, with odd heads; each is answered, once and in order. */
import { after, before, describe, it } from "node:test";
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { eventually } from "./harness/cluster.ts";
import { HttpClient } from "./harness/http-client.ts";
import {
  freePort,
  nodeCommand,
  RunningProcess,
  type RuntimeName,
  runtimes,
  temporaryDirectory,
} from "./harness/node-process.ts";

const put = (key: string, value: string, fields = ""): string =>
  `PUT /v1/kv/${key} HTTP/1.1\r\nHost: x\r\nContent-Length: ${value.length}\r\n${fields}\r\n${value}`;
const get = (key: string, fields = ""): string =>
  `GET /v1/kv/${key} HTTP/1.1\r\nHost: x\r\n${fields}\r\n`;
const chunked = (key: string, ...pieces: string[]): string =>
  `PUT /v1/kv/${key} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n` +
  pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join("") + "0\r\n\r\n";
const last = "Connection: close\r\n";

/** Bytes to send, and how many answers there have to be before more is sent. */
type Step = readonly [bytes: string, answers: number];

interface Exchange {
  /** How many connections it is made on, one after the other; one unless told. */
  readonly connections?: number;
  readonly steps: readonly Step[];
  readonly statuses: readonly number[];
  /** The body of the last answer. */
  readonly body?: string;
  /** Bun 1.4.5 closes a connection on requests that come one behind the other, and on a head in pieces. */
  readonly notUnder?: readonly RuntimeName[];
}

const whole = put("whole", "value one");
const exchanges: Readonly<Record<string, Exchange>> = {
  "each in one piece": {
    steps: [[whole, 1], [get("whole"), 2], [get("whole", last), 3]],
    statuses: [201, 200, 200],
    body: "value one",
  },
  "head and body apart": {
    steps: [[put("apart", "12345").slice(0, -5), 0], ["12345", 1], [get("apart", last), 2]],
    statuses: [201, 200],
    body: "12345",
  },
  "cut anywhere, behind one that was whole": {
    steps: [
      [whole, 1],
      ...(put("cut", "abc").match(/[^]{1,13}/g) ?? []).map((piece): Step => [piece, 1]),
      ["", 2],
      [get("cut", last), 3],
    ],
    statuses: [200, 201, 200],
    body: "abc",
    notUnder: ["bun"],
  },
  "all in one piece": {
    steps: [[put("a", "1") + put("b", "22"), 2], [get("a") + get("b", last), 4]],
    statuses: [201, 201, 200, 200],
    body: "22",
    notUnder: ["bun"],
  },
  "sent before the answer to the one before": {
    // Where the two come together all the same, the connection is `node:http`'s from then on.
    connections: 40,
    steps: [[whole, 0], [get("none"), 2], [get("whole", last), 3]],
    statuses: [200, 404, 200],
    body: "value one",
    notUnder: ["bun"],
  },
  "chunked behind one that was whole": {
    steps: [[whole, 1], [chunked("chunked", "abc", "defg"), 2], [get("chunked", last), 3]],
    statuses: [200, 201, 200],
    body: "abcdefg",
  },
  "HEAD behind one that was whole": {
    steps: [[whole, 1], [get("whole", last).replace("GET", "HEAD"), 2]],
    statuses: [200, 200],
    body: "",
  },
  "an empty value": {
    steps: [[put("empty", ""), 1], [get("empty", last), 2]],
    statuses: [201, 200],
    body: "",
  },
  "a value of many packets": {
    steps: [[put("large", "v".repeat(300_000)), 1], [get("large", last), 2]],
    statuses: [201, 200],
    body: "v".repeat(300_000),
  },
  "a field over two lines is refused": {
    steps: [[whole, 1], [get("whole", "X-A: b\r\n c\r\n" + last), 2]],
    statuses: [200, 400],
  },
  "two lengths are refused": {
    steps: [[whole, 1], [put("twice", "ab", "Content-Length: 2\r\n" + last), 2]],
    statuses: [200, 400],
  },
  "a length and chunks are refused": {
    steps: [[whole, 1], [put("both", "0\r\n\r\n", "Transfer-Encoding: chunked\r\n" + last), 2]],
    statuses: [200, 400],
  },
};

for (const runtime of runtimes) {
  describe(`a connection to ${runtime}`, () => {
    const temporary = temporaryDirectory();
    let node: RunningProcess;
    let port = 0;
    before(async () => {
      port = await freePort();
      const flags = ["--listen", `127.0.0.1:${port}`, "--data", temporary.path];
      node = new RunningProcess([...nodeCommand(runtime), ...flags]);
      await node.firstLine();
      const http = new HttpClient();
      await eventually("it serves", async () => {
        const { status } = await http.request(`http://127.0.0.1:${port}/v1/kv/none`);
        return status === 404 ? true : undefined;
      });
      http.close();
    });
    after(async () => {
      node.signal("SIGKILL");
      await node.ended;
      temporary[Symbol.dispose]();
    });

    for (const [what, exchange] of Object.entries(exchanges)) {
      const { connections = 1, statuses, body, notUnder = [] } = exchange;
      if (notUnder.includes(runtime)) continue;
      it(what, async () => {
        for (let nth = 0; nth < connections; nth++) {
          const answers = parse(await talk(port, exchange), what.startsWith("HEAD"));
          assert.deepEqual(answers.map(({ status }) => status), statuses);
          if (body !== undefined) assert.equal(answers.at(-1)?.body, body);
        }
      });
    }
  });
}

/** All that came until the node closed the connection. */
async function talk(port: number, { steps }: Exchange): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  let said = "";
  socket.setEncoding("latin1").on("error", () => {});
  socket.on("data", (data: string) => said += data);
  const closed = once(socket, "close");
  for (const [bytes, answers] of steps) {
    socket.write(bytes, "latin1");
    await new Promise((resolve) => setImmediate(resolve));
    await eventually(
      `${answers} answers: ${said}`,
      () =>
        Promise.resolve(said.split("HTTP/1.1 ").length > answers || socket.destroyed || undefined),
    );
  }
  await closed;
  return said;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Answers one behind the other, each with a `Content-Length`, or chunked. */
function parse(text: string, lastIsHeadOnly: boolean): Answer[] {
  const answers: Answer[] = [];
  for (let at = 0; at < text.length;) {
    const end = text.indexOf("\r\n\r\n", at) + 4;
    assert.ok(end >= 4, `no whole head: ${text.slice(at)}`);
    const head = text.slice(at, end);
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);
    const length = Number(/^content-length: *(\d+)\r$/im.exec(head)?.[1] ?? 0);
    const isHeadOnly = lastIsHeadOnly && end === text.length;
    answers.push({ status, body: isHeadOnly ? "" : text.slice(end, end + length) });
    at = isHeadOnly ? end : end + length;
  }
  return answers;
}
