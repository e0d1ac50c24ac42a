/** `?revision=`, and cursors that hold on to their listing's revision. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NotApplied } from "../../src/errors.ts";
import { encodeCommand } from "../../src/kv/command-codec.ts";
import { assertProblem, type Fixture, fixture, json } from "./fixture.ts";

interface Page {
  readonly revision: number;
  readonly items: readonly { readonly key: string; readonly value?: string }[];
  readonly cursor?: string;
}

async function page({ send }: Fixture, query: string): Promise<Page> {
  const response = await send("GET", `/v1/kv?${query}`);
  assert.equal(response.status, 200, await response.clone().text());
  const body: Page = await response.json();
  assert.equal(response.headers.get("holdfast-revision"), String(body.revision));
  return body;
}

/** `a` is put at 1 and 2, deleted at 3, put at 4; `b` is put at 5. */
async function withPast(): Promise<Fixture> {
  const made = fixture();
  await made.put("a", "1");
  await made.put("a", "2");
  await made.send("DELETE", "/v1/kv/a");
  await made.put("a", "4");
  await made.put("b", "5");
  return made;
}

function keepHistory({ replica }: Fixture, revisionsMax: number): void {
  const history = { revisionsMax, bytesMax: 1e6 };
  replica.machine.apply({ payload: encodeCommand({ type: "configure", history }) });
}

describe("the past of a key", () => {
  it("is what it held at a revision, with what was known of it then", async () => {
    const { send } = await withPast();
    const held = [null, "1", "2", null, "4", "4"];
    for (const [revision, value] of held.entries()) {
      const response = await send("GET", `/v1/kv/a?revision=${revision}`);
      assert.equal(response.headers.get("holdfast-revision"), String(revision));
      assert.equal(response.status, value === null ? 404 : 200);
      if (value === null) continue;
      assert.equal(await response.text(), value);
      assert.equal(response.headers.get("etag"), `"${Math.min(revision, 4)}"`);
    }
    const known = await send("GET", "/v1/kv/a?revision=2", { headers: { "if-none-match": '"2"' } });
    assert.equal(known.status, 304);
  });

  it("is what it was, whatever is applied while the read is on its way", async () => {
    const put = { type: "put", key: "b", contentType: "text/plain", conditions: [] } as const;
    const payload = encodeCommand({ ...put, value: new Uint8Array(1) });
    for (let turns = 0; turns < 8; turns++) {
      const made = await withPast();
      keepHistory(made, 1);
      const answers = [5, 4].map((revision) => made.send("GET", `/v1/kv/b?revision=${revision}`));
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      made.replica.machine.apply({ payload });
      const [present, past] = await Promise.all(answers);
      assert.equal(present?.headers.get("holdfast-revision"), "5");
      assert.equal(await present?.text(), "5");
      // As it was, or, where history has let go of that by then, nothing.
      assert.ok(past?.status === 404 || past?.status === 410, `${past?.status}`);
    }
  });

  it("does not say how long it has to live", async () => {
    const { send } = fixture();
    await send("PUT", "/v1/kv/a?ttl=1m", { headers: { "holdfast-metadata": "YQ==" } });
    await send("DELETE", "/v1/kv/a");
    const { headers } = await send("GET", "/v1/kv/a?revision=1");
    assert.equal(headers.get("holdfast-metadata"), "YQ==");
    assert.equal(headers.has("holdfast-ttl-ms"), false);
  });

  it("needs no leader where this node has it", async () => {
    const { send, replica } = await withPast();
    replica.refusal = new NotApplied("no_leader", "none");
    assert.equal((await send("GET", "/v1/kv/a?revision=5")).status, 200);
    await assertProblem(await send("GET", "/v1/kv/a?revision=6"), 503, "no_leader");
  });

  it("is refused where the store has not come so far, once a leader has confirmed it", async () => {
    const { send, replica } = await withPast();
    for (const target of ["/v1/kv/a?revision=6", "/v1/kv?revision=6"]) {
      replica.reads.length = 0;
      const problem = await assertProblem(await send("GET", target), 400, "bad_request");
      assert.match(String(problem["detail"]), /revision 6 is ahead of the store, at 5/);
      assert.deepEqual(replica.reads, ["linearizable"]);
    }
  });

  it("is for another node to tell, where a stale read asks one that is behind", async () => {
    const { send, replica } = await withPast();
    for (const target of ["/v1/kv/a?revision=6", "/v1/kv?revision=6"]) {
      await assertProblem(await send("GET", `${target}&consistency=stale`), 503, "too_stale");
    }
    replica.staleness = 120;
    const stale = await send("GET", "/v1/kv/a?revision=2&consistency=stale");
    assert.equal(await stale.text(), "2");
    assert.equal(stale.headers.get("holdfast-staleness-ms"), "120");
    const old = await send("GET", "/v1/kv/a?revision=2&consistency=stale&max_stale=100ms");
    await assertProblem(old, 503, "too_stale");
  });

  it("is gone where history does not go back to it, and the answer says how far it does", async () => {
    const made = await withPast();
    keepHistory(made, 2);
    for (const target of ["/v1/kv/a?revision=2", "/v1/kv?revision=0"]) {
      for (const query of ["", "&consistency=stale"]) {
        const problem = await assertProblem(
          await made.send("GET", target + query),
          410,
          "compacted",
        );
        assert.equal(problem["oldest"], 3);
      }
    }
    assert.equal((await made.send("GET", "/v1/kv/a?revision=3")).status, 404);
    assert.equal((await made.send("GET", "/v1/kv/a?revision=4")).status, 200);
  });

  it("is named by a whole number", async () => {
    const { send } = await withPast();
    for (const revision of ["", "-1", "x", "1.5", "99999999999999999"]) {
      for (const target of ["/v1/kv/a", "/v1/kv"]) {
        await assertProblem(
          await send("GET", `${target}?revision=${revision}`),
          400,
          "bad_request",
        );
      }
    }
  });
});

describe("the past of a range", () => {
  it("is what it held at a revision", async () => {
    const made = await withPast();
    const keysAt = async (revision: number) =>
      (await page(made, `revision=${revision}`)).items.map(({ key, value }) => `${key}=${value}`);
    assert.deepEqual(await keysAt(0), []);
    assert.deepEqual(await keysAt(2), ["a=2"]);
    assert.deepEqual(await keysAt(3), []);
    assert.deepEqual(await keysAt(5), ["a=4", "b=5"]);
    assert.deepEqual((await page(made, "revision=5&reverse=true&limit=1")).items[0]?.key, "b");
  });
});

describe("a cursor", () => {
  for (const direction of ["", "&reverse=true"]) {
    it(`goes on at its listing's revision${direction}, whatever is written meanwhile`, async () => {
      const made = fixture();
      const keys = Array.from({ length: 20 }, (_, at) => `k${String(at).padStart(2, "0")}`);
      for (const key of keys) await made.put(key, key);
      const found: string[] = [];
      let query = `prefix=k&limit=3${direction}`;
      for (let round = 0; query !== ""; round++) {
        const { revision, items, cursor } = await page(made, query);
        assert.equal(revision, keys.length);
        for (const { key, value } of items) {
          assert.equal(value, key);
          found.push(key);
        }
        for (const key of keys) {
          if (round % 2 === 0) await made.put(key, "changed");
          else await made.send("DELETE", `/v1/kv/${key}`);
        }
        await made.put(`k${String(round).padStart(2, "0")}x`);
        query = cursor === undefined ? "" : `limit=3&cursor=${cursor}`;
      }
      assert.deepEqual(found, direction === "" ? keys : keys.toReversed());
    });
  }

  it("says that its revision is gone, where it is", async () => {
    const made = fixture();
    for (const key of ["a", "b", "c"]) await made.put(key);
    const { cursor } = await page(made, "limit=1");
    for (const key of ["a", "b", "c"]) await made.put(key);
    keepHistory(made, 2);
    const problem = await assertProblem(
      await made.send("GET", `/v1/kv?cursor=${cursor}`),
      410,
      "compacted",
    );
    assert.equal(problem["oldest"], 4);
  });

  it("goes with its own revision only", async () => {
    const made = await withPast();
    const { cursor } = await page(made, "limit=1&revision=4&prefix=");
    assert.equal(cursor, undefined);
    const { cursor: behind } = await page(made, "limit=1");
    assert.equal((await page(made, `cursor=${behind}&revision=5`)).items.length, 1);
    const other = await made.send("GET", `/v1/kv?cursor=${behind}&revision=4`);
    const problem = await assertProblem(other, 400, "bad_request");
    assert.match(String(problem["detail"]), /cursor is of a listing at another revision/);
  });

  it("is for another node to answer, where a stale read asks one that is behind", async () => {
    const ahead = await withPast();
    const { cursor } = await page(ahead, "limit=1");
    const behind = fixture();
    const target = `/v1/kv?cursor=${cursor}&consistency=stale`;
    await assertProblem(await behind.send("GET", target), 503, "too_stale");
  });

  it("of a page in the past stays in the past", async () => {
    const made = await withPast();
    await made.put("a", "6");
    await made.put("c", "7");
    const first = await page(made, "limit=1&revision=5");
    const second = await page(made, `limit=1&cursor=${first.cursor}`);
    assert.deepEqual([first, second].map(({ items }) => items[0]?.value), ["4", "5"]);
    assert.equal(second.revision, 5);
    assert.equal(second.cursor, undefined);
  });
});

describe("a first page", () => {
  it("is of the present, and linearizable", async () => {
    const made = await withPast();
    await page(made, "limit=1");
    assert.deepEqual(made.replica.reads, ["linearizable"]);
    assert.equal((await json(await made.send("GET", "/v1/kv")))["revision"], 5);
  });
});
