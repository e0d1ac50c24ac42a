import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { cursorBehind } from "../../src/http/cursor.ts";
import { assertProblem, type Fixture, fixture, json } from "./fixture.ts";

interface Listed {
  readonly revision: number;
  readonly items: readonly Record<string, unknown>[];
  readonly cursor?: string;
}

async function list({ app }: Fixture, query: string): Promise<Listed> {
  const response = await app.request(`/v1/kv${query}`);
  assert.equal(response.status, 200, await response.clone().text());
  const body: Listed = await response.json();
  return body;
}

const keysOf = ({ items }: Listed) => items.map((item) => item["key"]);

async function filled(...keys: string[]): Promise<Fixture> {
  const made = fixture();
  for (const key of keys) await made.put(key, `value of ${key}`);
  return made;
}

describe("a listing", () => {
  it("shows items in key order, with all that is known of them", async () => {
    const made = await filled("b", "a", "b");
    assert.deepEqual(await list(made, ""), {
      revision: 3,
      items: [
        {
          key: "a",
          value: "value of a",
          revision: 2,
          created: 2,
          version: 1,
          contentType: "text/plain",
        },
        {
          key: "b",
          value: "value of b",
          revision: 3,
          created: 1,
          version: 2,
          contentType: "text/plain",
        },
      ],
    });
  });

  it("is empty where nothing is", async () => {
    assert.deepEqual(await list(fixture(), "?prefix=a"), { revision: 0, items: [] });
  });

  it("is bounded by a prefix, or by start and end, the end outside", async () => {
    const made = await filled("a", "a/", "a/1", "a/%FF", "a0", "b", "%FF", "%FF%FF");
    assert.deepEqual(keysOf(await list(made, "?prefix=a/")), ["a/", "a/1", btoa("a/\xff")]);
    assert.deepEqual(keysOf(await list(made, "?prefix=%FF")), [btoa("\xff"), btoa("\xff\xff")]);
    assert.deepEqual(keysOf(await list(made, "?start=a/1&end=b")), ["a/1", btoa("a/\xff"), "a0"]);
    assert.deepEqual(keysOf(await list(made, "?start=b")), ["b", btoa("\xff"), btoa("\xff\xff")]);
    assert.deepEqual(keysOf(await list(made, "?end=a/")), ["a"]);
    assert.deepEqual(keysOf(await list(made, "?start=b&end=a")), []);
    assert.deepEqual(keysOf(await list(made, "?prefix=")).length, 8);
  });

  it("reads its query as forms write it, into bytes", async () => {
    const made = await filled("a%20b", "a+b", "c%00%80");
    assert.deepEqual(keysOf(await list(made, "?prefix=a+b")), ["a b"]);
    assert.deepEqual(keysOf(await list(made, "?prefix=a%2Bb")), ["a+b"]);
    assert.deepEqual(keysOf(await list(made, "?prefix=c%00%80")), [btoa("c\x00\x80")]);
    assert.deepEqual(keysOf(await list(made, "?unknown=%zz&prefix=a%20")), ["a b"]);
  });

  it("goes backwards with reverse=true", async () => {
    const made = await filled("a", "b", "c", "d");
    assert.deepEqual(keysOf(await list(made, "?reverse=true")), ["d", "c", "b", "a"]);
    assert.deepEqual(keysOf(await list(made, "?reverse=true&start=b&end=d")), ["c", "b"]);
    assert.deepEqual(keysOf(await list(made, "?reverse=false&limit=1")), ["a"]);
  });

  it("leaves values out with values=false", async () => {
    const [item] = (await list(await filled("a"), "?values=false")).items;
    assert.deepEqual(Object.keys(item ?? {}), [
      "key",
      "revision",
      "created",
      "version",
      "contentType",
    ]);
  });

  it("has 100 items where limit is not said, and at most 1000", async () => {
    const made = fixture();
    for (let i = 0; i < 1001; i++) await made.put(`k${String(i).padStart(4, "0")}`, "");
    assert.equal((await list(made, "")).items.length, 100);
    const most = await list(made, "?limit=1000");
    assert.equal(most.items.length, 1000);
    assert.equal((await list(made, `?limit=1000&cursor=${most.cursor}`)).items.length, 1);
  });

  for (const [name, query] of [["forwards", ""], ["backwards", "&reverse=true"]] as const) {
    it(`goes on behind a cursor, ${name}, and has none where nothing follows`, async () => {
      const made = await filled("p/a", "p/b", "p/c", "p/d", "p/e", "q");
      const all = keysOf(await list(made, `?prefix=p/${query}`));
      assert.equal((await list(made, `?prefix=p/&limit=5${query}`)).cursor, undefined);
      for (const size of [1, 2, 3, 4]) {
        for (const repeat of [`&prefix=p/${query}`, ""]) {
          const pages = [await list(made, `?prefix=p/${query}&limit=${size}`)];
          for (let cursor = pages[0]?.cursor; cursor !== undefined; cursor = pages.at(-1)?.cursor) {
            pages.push(await list(made, `?limit=${size}&cursor=${cursor}${repeat}`));
          }
          assert.deepEqual(pages.flatMap(keysOf), all);
          assert.equal(pages.length, Math.ceil(5 / size));
        }
      }
    });
  }

  it("ends a page early where its values are large, with a cursor", async () => {
    const made = fixture({ limits: { pageBytesMax: 1000 } });
    for (const key of ["a", "b", "c"]) await made.put(key, "x".repeat(600));
    const first = await list(made, "");
    assert.deepEqual(keysOf(first), ["a", "b"]);
    assert.deepEqual(keysOf(await list(made, `?cursor=${first.cursor}`)), ["c"]);
    assert.equal((await list(made, "?values=false")).items.length, 3);
  });

  for (
    const query of [
      "limit=0",
      "limit=1001",
      "limit=-1",
      "limit=1.5",
      "limit=",
      "limit=x",
      "limit=1&limit=2",
      "reverse=yes",
      "reverse",
      "values=0",
      "prefix=%zz",
      "prefix=a&start=a",
      "prefix=a&end=b",
      "consistency=bogus",
      "consistency=",
      "max_stale=500",
      "max_stale=1.5s",
      "max_stale=-1ms",
      "cursor=",
      "cursor=!!",
      "cursor=AAAA",
      `cursor=${"A".repeat(10_000)}`,
    ]
  ) {
    it(`is refused where the query is malformed: ${query.slice(0, 40)}`, async () => {
      const made = await filled("a");
      await assertProblem(await made.app.request(`/v1/kv?${query}`), 400, "bad_request");
    });
  }

  it("refuses a cursor of another listing", async () => {
    const made = await filled("a/1", "a/2", "b/1");
    const { cursor } = await list(made, "?prefix=a/&limit=1");
    for (const query of ["prefix=b/", "prefix=a", "reverse=true", "start=a/2"]) {
      const response = await made.app.request(`/v1/kv?cursor=${cursor}&${query}`);
      await assertProblem(response, 400, "bad_request");
    }
  });

  it("refuses a cursor that was tampered with", async () => {
    const made = await filled("a");
    const cursor = cursorBehind("a", { range: { start: "a", end: "b" }, revision: 0 });
    for (let i = 0; i < cursor.length; i++) {
      const changed = `${cursor.slice(0, i)}${cursor.slice(i + 1)}`;
      const { status } = await made.app.request(`/v1/kv?prefix=a&cursor=${changed}`);
      assert.ok(status === 400 || status === 200, `${changed}: ${status}`);
    }
    for (
      const bytes of [
        "\x02\x00\x00\x00",
        "\x01\x04\x00\x00",
        "\x01\x00\x00\x09a",
        "\x01\x00\x00\x00b",
      ]
    ) {
      const changed = btoa(bytes).replace(/=+$/, "");
      await assertProblem(await made.app.request(`/v1/kv?cursor=${changed}`), 400, "bad_request");
    }
  });

  it("refuses bounds and queries that are too long", async () => {
    const made = await filled("a");
    for (const query of [`prefix=${"a".repeat(2050)}`, `x=${"a".repeat(20_000)}`]) {
      await assertProblem(await made.app.request(`/v1/kv?${query}`), 413, "too_large");
    }
  });
});

describe("bytes in a listing", () => {
  const bytes = Uint8Array.of(0, 255, 254);

  it("are text where key and value are UTF-8", async () => {
    const made = fixture();
    await made.put("%C3%A9%00", "\ufeffé\u0000");
    const [item] = (await list(made, "")).items;
    assert.deepEqual([item?.["key"], item?.["value"]], ["é\u0000", "\ufeffé\u0000"]);
    assert.equal("encoding" in (item ?? {}), false);
  });

  it("have an encoding where the value is not UTF-8, and the key stays readable", async () => {
    const made = fixture();
    await made.send("PUT", "/v1/kv/binary", { body: bytes });
    const [item] = (await list(made, "")).items;
    assert.equal(item?.["key"], "binary");
    assert.equal(item?.["encoding"], "base64");
    assert.equal(item?.["value"], "AP/+");
    assert.equal("keyEncoding" in (item ?? {}), false);
    const [bare] = (await list(made, "?values=false")).items;
    assert.equal("encoding" in (bare ?? {}), false);
  });

  it("have an encoding for both where the key is not UTF-8", async () => {
    const made = fixture();
    await made.put("%FF", "text");
    const [item] = (await list(made, "")).items;
    assert.deepEqual([item?.["key"], item?.["keyEncoding"]], ["/w==", "base64"]);
    assert.deepEqual([item?.["value"], item?.["encoding"]], [btoa("text"), "base64"]);
    const [bare] = (await list(made, "?values=false")).items;
    assert.deepEqual([bare?.["encoding"], bare?.["keyEncoding"]], ["base64", "base64"]);
  });

  it("come whole also where they are many", async () => {
    const made = fixture();
    const large = Uint8Array.from({ length: 300_000 }, (_, i) => i * 31);
    await made.send("PUT", "/v1/kv/large", { body: large });
    const [item] = (await list(made, "")).items;
    const value = Uint8Array.from(atob(String(item?.["value"])), (c) => c.charCodeAt(0));
    assert.deepEqual(value, large);
  });
});

describe("DELETE of a range", () => {
  it("deletes what is in it, by one revision", async () => {
    const made = await filled("a", "a/1", "a/2", "b");
    const response = await made.send("DELETE", "/v1/kv?prefix=a/");
    assert.equal(response.status, 200);
    assert.deepEqual(await json(response), { revision: 5, deleted: 2 });
    assert.equal(response.headers.get("holdfast-revision"), "5");
    assert.deepEqual(keysOf(await list(made, "")), ["a", "b"]);
    const half = await made.send("DELETE", "/v1/kv?start=a&end=b");
    assert.deepEqual(await json(half), { revision: 6, deleted: 1 });
    assert.deepEqual(await json(await made.send("DELETE", "/v1/kv?prefix=x")), {
      revision: 6,
      deleted: 0,
    });
  });

  it("is refused without a range, and where it is not clear which", async () => {
    const made = await filled("a");
    for (const query of ["", "?", "?limit=10", "?reverse=true", "?prefix=a&start=a", "?prefix=%"]) {
      const response = await made.send("DELETE", `/v1/kv${query}`);
      await assertProblem(response, 400, "bad_request", "not_applied");
    }
    const headers = { "if-match": "*" };
    await assertProblem(
      await made.send("DELETE", "/v1/kv?prefix=a", { headers }),
      400,
      "bad_request",
      "not_applied",
    );
    assert.equal(made.replica.machine.store.size, 1);
  });
});
