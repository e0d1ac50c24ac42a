import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { statusOf } from "../../src/cli/command.ts";
import { run } from "../../src/cli/run.ts";
import { type Client, connect } from "../../src/client/mod.ts";
import { type Ended, freePort, temporaryDirectory } from "./processes.ts";
import { ServedNode } from "./served-node.ts";

describe("the data model on the command line", { timeout: 120_000 }, () => {
  let node: ServedNode;
  let client: Client;
  let directory = "";
  let remove = async (): Promise<void> => {};
  before(async () => {
    node = await ServedNode.start();
    client = connect({ endpoints: [node.url] });
    ({ path: directory, remove } = await temporaryDirectory());
  });
  after(async () => {
    await node.stop();
    await remove();
  });

  /** A command that takes a file, with this in it. */
  const withFile = async (command: string, document: unknown, ...flags: string[]) => {
    const path = `${directory}/${command}.json`;
    await writeFile(path, typeof document === "string" ? document : JSON.stringify(document));
    const [ended] = await node.all([command, path, ...flags]);
    assert.ok(ended);
    return ended;
  };

  it("refuses a wrong command line before it asks anybody", async () => {
    for (
      const [line, message] of [
        ["put k v --ttl soon", /^--ttl takes a duration/],
        ["put k v --ttl 3651d", /^--ttl takes a duration/],
        ["put k v --lease x", /^--lease takes a lease's id/],
        ["put k v --metadata base64:%%", /^--metadata takes up to 1 KiB/],
        [`put k v --metadata ${"m".repeat(1025)}`, /^--metadata takes up to 1 KiB/],
        ["get k --revision -1", /^--revision takes a revision/],
        ["get k --json --output f", /exclude each other$/],
        ["list --prefix p --start s", /^--prefix and --start or --end exclude/],
        ["del k --start s", /^del takes either/],
        ["add k", /^DELTA is missing/],
        ["add k 1.5", /^DELTA takes a 64-bit integer/],
        ["add k 9223372036854775808", /^DELTA takes a 64-bit integer/],
        ["add k 1 --min 3 --max 2", /^--min takes what is not more/],
        ["lease", /^ACTION is missing/],
        ["lease extend 1", /^lease takes grant, keepalive, revoke, show, list; got "extend"/],
        ["lease grant", /^--ttl is missing/],
        ["lease show", /^ID is missing/],
        ["lease show x", /^ID takes a lease's id/],
        ["lease list 1", /^lease list: "1" is one word too many/],
        ["lease revoke 1 --ttl 3s", /^lease revoke takes no --ttl/],
        ["txn /nonexistent", /^FILE takes a file that can be read/],
      ] as const
    ) {
      await assert.rejects(run(line.split(" ")), (error) => {
        assert.equal(statusOf(error), 2, line);
        assert.match(String(error instanceof Error ? error.message : error), message, line);
        return true;
      });
    }
  });

  it("puts with a time to live, a lease and metadata, and shows them", async () => {
    const [id = ""] = await node.ok("lease grant --ttl 1h");
    assert.match(id, /^\d+\n$/);
    const lease = id.trim();
    await node.ok(
      `put x/a v --lease ${lease} --metadata owner`,
      "put x/b v --metadata base64:AP8=",
    );
    const [a, b] = await node.ok("get x/a --json", "get x/b --json");
    const { revision, ...item } = JSON.parse(a ?? "");
    assert.deepEqual(item, {
      key: "x/a",
      value: "v",
      created: revision,
      version: 1,
      contentType: "text/plain; charset=utf-8",
      metadata: btoa("owner"),
      lease,
    });
    assert.equal(JSON.parse(b ?? "").metadata, "AP8=");
    await node.ok("put x/c v --ttl 1ms");
    for await (const { events } of client.watch({ key: "x/c", from: revision })) {
      if (events.some(({ type }) => type === "delete")) break;
    }
    const [gone] = await node.all(["get", "x/c", "--json"]);
    assert.equal(gone?.status, 1);
    assert.equal(JSON.parse(gone.stderr).code, "not_found");
  });

  it("keeps leases alive, shows them with their keys, and ends them", async () => {
    const [granted = ""] = await node.ok("lease grant --ttl 7d --json");
    const { id, ttlMs } = JSON.parse(granted);
    assert.equal(ttlMs, 7 * 86_400_000);
    await node.ok(`put y/a v --lease ${id}`, `put y/b v --lease ${id}`);
    const [kept, shown = "", json = "", list = "", all = ""] = await node.ok(
      `lease keepalive ${id}`,
      `lease show ${id}`,
      `lease show ${id} --json`,
      "lease list",
      "lease list --json",
    );
    assert.equal(kept, `${id} ends in 604800000 ms\n`);
    assert.match(shown, new RegExp(`^${id}\tends in \\d+ ms of 604800000 ms\ny/a\ny/b\n$`));
    assert.deepEqual(JSON.parse(json).keys, ["y/a", "y/b"]);
    assert.match(list, new RegExp(`^${id}\tends in \\d+ ms of 604800000 ms$`, "m"));
    assert.ok(JSON.parse(all).leases.some((each: { id: string }) => each.id === id));
    assert.match(
      (await node.ok(`lease revoke ${id}`))[0] ?? "",
      /^revoked, deleted 2: revision \d+/,
    );
    const gone = await node.all(
      ...["revoke", "show", "keepalive"].map((action) => ["lease", action, id, "--json"]),
    );
    for (const { status, stderr } of gone) {
      assert.equal(status, 1, stderr);
      assert.equal(JSON.parse(stderr).code, "not_found");
    }
  });

  it("adds to numbers, within bounds", async () => {
    const lines = ["add n 5", "add n -12", "add n 100 --max 10", "add n -100 --min -5 --json"];
    const [five, seven, ten, json = ""] = await node.ok(...lines);
    assert.deepEqual([five, seven, ten], ["5\n", "-7\n", "10\n"]);
    const { value, version } = JSON.parse(json);
    assert.deepEqual([value, version], ["-5", 4]);
    await node.ok("put word hello");
    assert.equal((await node.all(["add", "word", "1"]))[0]?.status, 1);
  });

  it("reads the past", async () => {
    const { revision } = await client.put("p/a", "old");
    await client.put("p/a", "new");
    await client.put("p/b", "new");
    const [was, is, list = "", json = ""] = await node.ok(
      `get p/a --revision ${revision}`,
      "get p/a",
      `list --prefix p/ --keys-only --revision ${revision}`,
      `get p/a --json --revision ${revision}`,
    );
    assert.deepEqual([was, is, list], ["old", "new", "p/a\n"]);
    assert.equal(JSON.parse(json).value, "old");
  });

  it("lists all pages as one document, at one revision", async () => {
    const count = 2500;
    for (let from = 0; from < count; from += 500) {
      const keys = Array.from(
        { length: 500 },
        (_, at) => `q/${String(from + at).padStart(5, "0")}`,
      );
      await Promise.all(keys.map((key) => client.put(key, key)));
    }
    const { revision } = await client.put("q/bytes", new Uint8Array([255, 0]));
    const [json = "", lines = "", keys = "", none = ""] = await node.ok(
      "list --prefix q/ --json",
      "list --prefix q/ --limit 1500 --reverse",
      "list --prefix q/ --keys-only --json --limit 2",
      "list --prefix nothing/ --json",
    );
    const { items, ...rest } = JSON.parse(json);
    assert.deepEqual([rest, items.length], [{ revision }, count + 1]);
    assert.deepEqual([items[1999].key, items[1999].value], ["q/01999", "q/01999"]);
    assert.deepEqual([items[count].value, items[count].encoding], ["/wA=", "base64"]);
    assert.equal(lines.split("\n").length, 1501);
    assert.deepEqual(
      JSON.parse(keys).items.map((item: object) => Object.keys(item)).flat().includes("value"),
      false,
    );
    assert.deepEqual(JSON.parse(none).items, []);
  });

  it("sends transactions from a file, and tells by its status whether the conditions held", async () => {
    const document = {
      if: [{ key: "t/a", exists: false }],
      then: [
        { put: { key: "t/a", value: "1", contentType: "text/plain" } },
        { add: { key: "t/n", delta: 2 } },
        { get: { key: "t/a" } },
        { delete: { key: "t/none" } },
        { list: { prefix: "t/" } },
      ],
      else: [{ get: { key: "t/none" } }],
    };
    const first = await withFile("txn", document);
    assert.equal(first.status, 0, first.stderr);
    const [, revision = ""] = /^succeeded: revision (\d+)\n/.exec(first.stdout) ?? [];
    const item = `t/a\t${revision}\t1\ttext/plain`;
    assert.deepEqual(first.stdout.split("\n").slice(1), [
      "put: version 1",
      "2",
      item,
      "deleted 0",
      item,
      `t/n\t${revision}\t1\ttext/plain`,
      "",
    ]);
    const second = await withFile("txn", document, "--json");
    assert.equal(second.status, 1);
    const { succeeded, results } = JSON.parse(second.stdout);
    assert.deepEqual([succeeded, results], [false, [{ item: null }]]);
  });

  it("tells what it waits for, where no node answers for a while", async () => {
    const nobody = `http://127.0.0.1:${await freePort()}`;
    const put = node.begin(["put", "k", "v", "--endpoints", nobody, "--timeout", "1m"]);
    await put.errorLine(/^http:\/\/127\.0\.0\.1:\d+: .*; trying on$/);
    put.kill("SIGKILL");
    await put.ended;
  });

  it("reads a transaction from standard input", async () => {
    const document = JSON.stringify({ then: [{ put: { key: "t/stdin", value: "v" } }] });
    const { status, stdout, stderr } = await node.begin(["txn"], document).ended;
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^succeeded: revision \d+\nput: version 1\n$/);
  });

  it("says where a document is wrong, and sends nothing", async () => {
    const refused: readonly [Ended, RegExp][] = [
      [await withFile("txn", "{"), /^holdfast: FILE takes JSON: /],
      [await withFile("txn", { then: [{ put: { key: "a" } }] }), /FILE, at then\.0\.put\.value: /],
      [await withFile("txn", { when: [] }), /FILE, at when: /],
      [await withFile("batch", { ops: [{ bump: {} }] }), /FILE, at ops\.0: .*put, delete, get/],
    ];
    for (const [{ status, stderr }, why] of refused) {
      assert.equal(status, 2);
      assert.match(stderr, why);
    }
  });

  it("sends batches, and prints what became of each operation", async () => {
    const document = {
      ops: [
        { put: { key: "b/a", value: "1" } },
        { put: { key: "b/a", value: "2" }, if: [{ key: "b/a", version: 7 }] },
        { add: { key: "b/n", delta: "3" } },
        { get: { key: "b/none" } },
        { list: { prefix: "b/" } },
        { delete: { key: "b/a" } },
      ],
    };
    const { status, stdout } = await withFile("batch", document);
    assert.equal(status, 1);
    const statuses = stdout.split("\n").flatMap((line) => /^(\d{3})\t/.exec(line)?.[1] ?? []);
    assert.deepEqual(statuses, ["201", "412", "200", "404", "200", "200"]);
    const again = await withFile("batch", { ops: [{ put: { key: "b/a", value: "1" } }] }, "--json");
    assert.equal(again.status, 0);
    assert.equal(JSON.parse(again.stdout).results[0].status, 201);
  });
});
