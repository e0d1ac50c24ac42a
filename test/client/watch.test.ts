import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Change, Client, ClientError, WatchOptions } from "../../src/client/mod.ts";
import { failure, problem, refused } from "./fake-fetch.ts";
import {
  type Asked,
  compacted,
  eventsOf,
  mark,
  type Part,
  type Revision,
  watched,
} from "./watched.ts";

const history: readonly Revision[] = [
  { revision: 8, keys: ["a"] },
  { revision: 9, keys: ["a", "-b", "ü"] },
  { revision: 10, keys: ["-a"] },
  { revision: 13, keys: ["b", "c"] },
];
const textBehind = (after: number): string =>
  history.filter(({ revision }) => revision > after).map(eventsOf).join("");

/** What was changed, as the history above writes it. */
const shown = ({ revision, events }: Change): Revision => ({
  revision,
  keys: events.map(({ type, key }) => `${type === "delete" ? "-" : ""}${String(key)}`),
});

/** The first changes of a watch. */
async function take(client: Client, count: number, options: WatchOptions): Promise<Revision[]> {
  const taken: Revision[] = [];
  for await (const change of client.watch(options)) {
    taken.push(shown(change));
    if (taken.length === count) break;
  }
  return taken;
}

describe("a watch", () => {
  it("misses nothing and repeats nothing, wherever its connection breaks", async () => {
    const whole = new TextEncoder().encode(textBehind(7));
    for (let cut = 0; cut <= whole.length; cut++) {
      const { client, asked } = watched(({ after }, number): Part => {
        const text = textBehind(after);
        return number === 1 ? { text, bytes: cut, end: "breaks" } : { text, end: "goes silent" };
      });
      assert.deepEqual(await take(client, 4, { from: 8 }), history, `cut at ${cut}`);
      assert.ok(asked.length <= 2);
      if (asked.length === 2) assert.notEqual(asked[0]?.endpoint, asked[1]?.endpoint);
    }
  });

  it("passes over what a node repeats", async () => {
    const { client } = watched((_, number): Part =>
      number === 1
        ? { text: eventsOf(history[0] ?? { revision: 0, keys: [] }), end: "breaks" }
        : { text: textBehind(0), end: "goes silent" }
    );
    assert.deepEqual(await take(client, 4, { from: 1 }), history);
  });

  it("begins behind the store's revision when it is called", async () => {
    const { client, asked } = watched(({ after }): Part => ({
      text: textBehind(after),
      end: "goes silent",
    }));
    assert.deepEqual(await take(client, 1, { prefix: "a/", previous: true }), [history[0]]);
    assert.deepEqual(asked, [{
      endpoint: "http://a",
      target: "/v1/watch?prefix=a/&previous=true".replace("a/&", "a%2F&"),
      after: 7,
    }]);
  });

  it("tells what a key holds, and held", async () => {
    const item = { created: 1, version: 3, revision: 5, contentType: "text/plain" };
    const put = {
      ...item,
      key: "/w==",
      keyEncoding: "base64",
      value: "AQI=",
      encoding: "base64",
      metadata: "AQ==",
      lease: "12",
      previous: null,
      more: true,
    };
    const gone = { key: "b", revision: 5, previous: { ...item, key: "b", value: "old" } };
    const text = `id: 5\nevent: put\ndata: ${JSON.stringify(put)}\n\n` +
      `id: 5\nevent: delete\ndata: ${JSON.stringify(gone)}\n\n`;
    const { client } = watched((): Part => ({ text, end: "goes silent" }));
    for await (const change of client.watch({ from: 5, previous: true })) {
      const key = new Uint8Array([0xff]);
      const common = { created: 1, version: 3, revision: 5, contentType: "text/plain" };
      const bare = { metadata: null, lease: null };
      assert.deepEqual(change, {
        revision: 5,
        events: [
          {
            type: "put",
            key,
            item: {
              ...common,
              key,
              value: new Uint8Array([1, 2]),
              metadata: new Uint8Array([1]),
              lease: "12",
            },
            previous: null,
          },
          {
            type: "delete",
            key: "b",
            previous: { ...common, ...bare, key: "b", value: new TextEncoder().encode("old") },
          },
        ],
      });
      break;
    }
  });

  it("goes on behind the progress that it was told of", async () => {
    const { client, asked } = watched((_, number): Part =>
      number === 1
        ? { text: mark("progress", 12), end: "breaks" }
        : { text: textBehind(12), end: "goes silent" }
    );
    assert.deepEqual(await take(client, 1, { from: 3 }), [history[3]]);
    assert.deepEqual(asked.map(({ after }) => after), [2, 12]);
  });

  it("tells of progress where it is asked to", async () => {
    const text = mark("progress", 7) + textBehind(7) + mark("progress", 14);
    const { client } = watched((): Part => ({ text, end: "goes silent" }));
    const revisions = (await take(client, 6, { from: 8, progress: true })).map((one) =>
      one.revision
    );
    assert.deepEqual(revisions, [7, 8, 9, 10, 13, 14]);
  });

  it("resumes where it was too slow", async () => {
    const { client, asked } = watched(({ after }, number): Part =>
      number === 1
        ? { text: eventsOf({ revision: 8, keys: ["a"] }) + mark("overflow", 8), end: "ends" }
        : { text: textBehind(after), end: "goes silent" }
    );
    assert.deepEqual(await take(client, 4, { from: 8 }), history);
    assert.deepEqual(asked.map(({ after }) => after), [7, 8]);
  });

  it("moves on from a node that is silent, too stale, ends or refuses", async () => {
    const elsewhere = ({ after }: Asked): Part => ({ text: textBehind(after), end: "goes silent" });
    const refusal = problem(503, "not_ready")({
      url: "",
      method: "GET",
      headers: new Headers(),
      body: "",
    });
    const bad: readonly (Part | Response | Error)[] = [
      { text: "", end: "goes silent" },
      { text: mark("progress", 7, 20_000), end: "goes silent" },
      { text: mark("progress", 7, null), end: "goes silent" },
      { text: mark("progress", 7), end: "ends" },
      { text: "id: 8\nevent: put\ndata: {\n\n", end: "goes silent" },
      {
        text: eventsOf({ revision: 8, keys: ["a", "b"] }).split("\n\n")[0] + "\n\n" + textBehind(8),
        end: "goes silent",
      },
      refusal,
      refused({ url: "", method: "GET", headers: new Headers(), body: "" }) as Error,
    ];
    const codes: string[] = [];
    const onRetry = ({ code }: ClientError): void => void codes.push(code);
    for (const first of bad) {
      const script = (one: Asked, number: number) => number === 1 ? first : elsewhere(one);
      const { client, asked } = watched(script, { onRetry });
      const silenceMs = first === bad[0] ? 5 : 15_000;
      assert.deepEqual(await take(client, 4, { from: 8, silenceMs }), history);
      assert.deepEqual(asked.map(({ endpoint }) => endpoint), ["http://a", "http://b"]);
    }
    assert.deepEqual(codes, [
      "no_answer",
      "too_stale",
      "too_stale",
      "no_answer",
      "no_answer",
      "no_answer",
      "not_ready",
      "unreachable",
    ]);
  });

  it("says from where on history is kept, where it isn't kept far enough", async () => {
    const { client } = watched(() => compacted(40));
    const error = await failure(take(client, 1, { from: 8 }));
    assert.deepEqual([error.code, error.oldest, error.status], ["compacted", 40, 410]);
  });

  it("ends with its signal, also while it waits", async () => {
    const abort = new AbortController();
    const { client } = watched((): Part => ({ text: textBehind(10), end: "goes silent" }));
    const changes = client.watch({ from: 11, signal: abort.signal });
    assert.equal((await changes.next()).done, false);
    const waiting = failure(changes.next());
    abort.abort();
    assert.equal((await waiting).code, "aborted");
    assert.equal((await changes.next()).done, true);
    const late = client.watch({ from: 11, signal: abort.signal });
    assert.equal((await failure(late.next())).code, "aborted");
  });
});
