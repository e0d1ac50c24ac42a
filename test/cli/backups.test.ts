/** `backup`, `verify`, `restore`, `wal` and `snapshot`: what they print, write and refuse, and how they end. */
import { after, before, describe, it } from "node:test";
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { openFileWal } from "../../src/adapters/file-wal.ts";
import { NodeFileSystem } from "../../src/adapters/node-fs.ts";
import { START, WriteScript } from "../adapters/wal-writes.ts";
import { backupOf, smallMachine } from "../backup/samples.ts";
import { type Ended, runBatch, temporaryDirectory } from "./processes.ts";
import { ServedNode } from "./served-node.ts";

let directory = "";
let remove = (): Promise<void> => Promise.resolve();

before(async () => {
  ({ path: directory, remove } = await temporaryDirectory());
});
after(() => remove());

const at = (...names: readonly string[]): string => join(directory, ...names);

/** What command lines come to that ask no node. */
function offline(...lines: readonly (readonly string[])[]): Promise<readonly Ended[]> {
  return runBatch(lines, { HOLDFAST_ENDPOINTS: "http://127.0.0.1:9" });
}

function document({ stdout }: Ended): Record<string, unknown> {
  return JSON.parse(stdout);
}

describe("backup, verify and restore", { timeout: 300_000 }, () => {
  let node: ServedNode;
  before(async () => {
    node = await ServedNode.start();
  });
  after(() => node.stop());

  it("carry a store over into a cluster that is empty", async () => {
    await node.ok("put a one", "put a two", "put b three --ttl 1h");
    const file = at("a.backup");
    const [told = ""] = await node.ok(`backup ${file}`);
    assert.match(told, /^\S+a\.backup: revision 3, \d+ bytes, SHA-256 [0-9a-f]{64}\n$/);
    const [verified, asJson] = await offline(["verify", file], ["verify", file, "--json"]);
    assert.equal(verified?.status, 0);
    assert.match(verified?.stdout ?? "", /\nsound: 2 keys and 0 leases; history goes back to /);
    assert.equal(document(asJson!)["keys"], 2);
    assert.deepEqual((await readdir(directory)).filter((name) => name.includes("part")), []);

    const other = await ServedNode.start();
    try {
      const [restored, again] = await other.all(["restore", file], ["restore", file, "--json"]);
      assert.equal(restored?.stdout, "restored: revision 3, 2 keys\n", restored?.stderr);
      assert.equal(again?.status, 1, again?.stderr);
      assert.equal(JSON.parse(again?.stderr ?? "").code, "precondition_failed");
      const [value, past] = await other.ok("get a", "get a --revision 1");
      assert.deepEqual([value, past], ["two", "one"]);
    } finally {
      await other.stop();
    }
  });

  it("say so where there is nobody to give one, and leave no file", async () => {
    const [ended] = await offline(["backup", at("none.backup"), "--timeout", "100ms"]);
    assert.equal(ended?.status, 5, ended?.stderr);
    assert.ok(!(await readdir(directory)).some((name) => name.startsWith("none")));
    const [usage, nowhere] = await offline(["backup", directory], ["verify", at("nothing")]);
    assert.deepEqual([usage?.status, nowhere?.status], [2, 2]);
  });

  it("name the file that can't be written or read, and say why", async () => {
    const [backed, asJson] = await node.all(
      ["backup", at("none", "x")],
      ["backup", at("none", "x"), "--json"],
    );
    const why = `FILE can't be written: ${JSON.stringify(at("none", "x"))}: ENOENT`;
    assert.deepEqual([backed?.status, backed?.stderr], [7, `holdfast: ${why}\n`]);
    assert.deepEqual(JSON.parse(asJson?.stderr ?? ""), { code: "failed", detail: why });
    const [verified] = await offline(["verify", at("none", "x")]);
    const takes = `FILE takes a file that can be read; ${
      JSON.stringify(at("none", "x"))
    } can't be read`;
    assert.deepEqual([verified?.status, verified?.stderr], [2, `holdfast: ${takes}: ENOENT\n`]);
  });

  it("refuse what is not sound, and say where", async () => {
    const bytes = backupOf(smallMachine());
    const damaged = bytes.slice();
    damaged[200]! ^= 1;
    await writeFile(at("damaged.backup"), damaged);
    await writeFile(at("cut.backup"), bytes.slice(0, -1));
    const peers = ["--peers", "n1=http://127.0.0.1:14001"];
    const ended = await offline(
      ["verify", at("damaged.backup"), "--json"],
      ["verify", at("cut.backup")],
      ["restore", at("cut.backup")],
      ["restore", at("cut.backup"), "--data", at("made"), ...peers],
    );
    assert.deepEqual(ended.map(({ status }) => status), [1, 1, 1, 1]);
    const { sound, offset } = JSON.parse(ended[0]?.stderr ?? "");
    assert.deepEqual({ sound, isPlace: offset > 0 && offset <= 200 }, {
      sound: false,
      isPlace: true,
    });
    assert.match(ended[1]?.stderr ?? "", /is not a sound backup: the trailer is cut off/);
    assert.ok(!(await readdir(directory)).includes("made"));
  });

  it("make directories that are members of a cluster of their own", async () => {
    const file = at("small.backup");
    await writeFile(file, backupOf(smallMachine()));
    const peers = ["--peers", "n1=http://127.0.0.1:14001,n2=http://127.0.0.1:14002"];
    const alone = ["--id", "n1", "--peers", "n1=http://127.0.0.1:14001"];
    const [first, second, again, single, wrong, lacking] = await offline(
      ["restore", file, "--data", at("first"), ...peers, "--json"],
      ["restore", file, "--data", at("second"), ...peers, "--json"],
      ["restore", file, "--data", at("first"), ...peers],
      ["restore", file, "--data", at("single"), ...alone],
      ["restore", file, "--data", at("x"), "--id", "n2", ...peers],
      ["restore", file, "--data", at("x")],
    );
    assert.equal(first?.status, 0, first?.stderr);
    const { clusterId, revision, keys, members } = document(first);
    assert.deepEqual({ revision, keys }, { revision: 7, keys: 4 });
    assert.deepEqual(members, [
      { id: "n1", directory: at("first", "n1") },
      { id: "n2", directory: at("first", "n2") },
    ]);
    assert.notEqual(document(second!)["clusterId"], clusterId);
    assert.equal(again?.status, 7);
    assert.match(again?.stderr ?? "", /is not empty/);
    assert.equal(single?.status, 0, single?.stderr);
    assert.deepEqual([wrong?.status, lacking?.status], [2, 2]);
    const [byName] = await offline(["restore", file, "--data", at("x"), "--peers", "dns:a:1"]);
    for (const { status, stderr } of [byName!, lacking!]) {
      assert.equal(status, 2);
      assert.match(stderr, /up to 31 different id=URL, such as n1=/);
      assert.doesNotMatch(stderr, /in the DNS/);
    }
    assert.deepEqual((await readdir(at("first"))).toSorted(), ["n1", "n2"]);
    const [shown, sound] = await offline(
      ["snapshot", "inspect", at("single"), "--json"],
      ["wal", "verify", at("first", "n2"), "--json"],
    );
    const [snapshot] = document(shown!)["snapshots"] as Record<string, unknown>[];
    assert.deepEqual(
      { ...snapshot, configuration: null, file: null, bytes: 0 },
      {
        file: null,
        sound: true,
        index: 1,
        term: 1,
        configuration: null,
        bytes: 0,
        version: 1,
        revision: 7,
        oldest: 0,
        keys: 4,
        leases: 1,
        roles: 0,
        tokens: 0,
      },
    );
    assert.deepEqual(document(sound!)["log"], {
      firstIndex: 2,
      lastIndex: 1,
      lastTerm: 1,
      term: 1,
      vote: null,
      commit: 1,
    });
  });

  it("go on where a restore that did not end is cleared away", async () => {
    const file = at("small.backup");
    await mkdir(at("third", "n1.restoring", "wal"), { recursive: true });
    const line = ["restore", file, "--data", at("third"), "--peers", "n1=http://127.0.0.1:14001"];
    const [left] = await offline(line);
    assert.match(left?.stderr ?? "", /n1\.restoring is not empty: a restore that did not end/);
    await rm(at("third"), { recursive: true });
    const [made] = await offline(line);
    assert.equal(made?.status, 0, made?.stderr);
  });
});

describe("wal and snapshot", { timeout: 300_000 }, () => {
  let segment = "";
  before(async () => {
    const fs = new NodeFileSystem();
    const path = at("node", "wal");
    await fs.makeDirectory(path);
    const { wal } = await openFileWal({
      fs,
      directory: path,
      start: START,
      segmentBytes: 64 * 1024,
    });
    const script = new WriteScript();
    script.vote({ term: 1, vote: "n1" });
    script.append(3, 20, { commit: 1 });
    script.append(2, 2000, { commit: 3 });
    script.replace(4, 1, 30, { term: 2, vote: "n2" });
    for (const write of script.writes) await wal.append(write);
    await wal.close();
    const [name = ""] = (await readdir(path)).filter((each) => each.endsWith(".log"));
    segment = at("node", "wal", name);
  });

  it("tell segments, entries and what the log is", async () => {
    const [text, asJson, some, part] = await offline(
      ["wal", "inspect", at("node")],
      ["wal", "inspect", at("node"), "--json"],
      ["wal", "inspect", at("node"), "--from", "2", "--limit", "2", "--json"],
      ["wal", "verify", at("node", "wal")],
    );
    assert.equal(text?.status, 0, text?.stderr);
    assert.match(
      text?.stdout ?? "",
      /^wal-0{15}1\.log\t65536 bytes, \d+ in use\t4 frames, 6 entries/,
    );
    assert.match(text?.stdout ?? "", /\n {2}cut back to 3\n {2}@\d+\t4\t2\tcommand\t30 bytes\t/);
    const end = "sound: entries 1 to 4, the last of term 2; term 2, vote n2, commit 3\n";
    assert.ok(text?.stdout.endsWith(end));
    assert.equal(part?.stdout, end);
    const { entries, segments, sound, log } = document(asJson!);
    assert.equal(sound, true);
    assert.deepEqual(
      (entries as { index: number; term: number }[]).map(({ index, term }) => [index, term]),
      [[1, 1], [2, 1], [3, 1], [4, 1], [5, 1], [4, 2]],
    );
    assert.equal((segments as unknown[]).length, 1);
    assert.deepEqual(log, {
      firstIndex: 1,
      lastIndex: 4,
      lastTerm: 2,
      term: 2,
      vote: "n2",
      commit: 3,
    });
    const { entries: chosen } = document(some!);
    assert.deepEqual((chosen as { index: number }[]).map(({ index }) => index), [2, 3]);
  });

  it("tell the first damage with its place, and change nothing", async () => {
    const whole = await readFile(segment);
    const damaged = Uint8Array.from(whole);
    damaged[700]! ^= 0x10;
    await writeFile(segment, damaged);
    try {
      const [verified, asJson, inspected] = await offline(
        ["wal", "verify", at("node")],
        ["wal", "verify", at("node"), "--json"],
        ["wal", "inspect", at("node")],
      );
      assert.deepEqual([verified?.status, asJson?.status, inspected?.status], [1, 1, 1]);
      assert.match(verified?.stderr ?? "", /offset 584: frame 2 is damaged, though it was synced/);
      assert.match(verified?.stderr ?? "", /nothing was changed; .* node mends it .*can't\n$/);
      const { sound, damage } = document(asJson!);
      assert.equal(sound, false);
      const { file, offset } = damage as { readonly file: string; readonly offset: number };
      assert.deepEqual({ file, offset }, { file: segment, offset: 584 });
      assert.deepEqual(new Uint8Array(await readFile(segment)), damaged);
      assert.deepEqual(await readdir(at("node")), ["wal"]);
    } finally {
      await writeFile(segment, whole);
    }
  });

  it("tell of a node that is running, and of one that was", async () => {
    await writeFile(at("node", "lock.pid"), String(process.pid));
    const [running] = await offline(["wal", "verify", at("node")]);
    assert.match(running?.stderr ?? "", new RegExp(`^process ${process.pid} is running over this`));
    assert.equal(running?.status, 0);
    await writeFile(at("node", "lock.pid"), "4194304");
    const [killed] = await offline(["wal", "verify", at("node")]);
    assert.equal(killed?.stderr, "");
    await rm(at("node", "lock.pid"));
  });

  it("refuse what is neither", async () => {
    const lines = [
      ["wal", "look", directory],
      ["wal", "inspect", at("nothing")],
      ["wal", "inspect", at("node"), "--from", "0"],
      ["snapshot", "inspect", at("node")],
      ["snapshot", "show", at("node")],
    ];
    for (const { status } of await offline(...lines)) assert.equal(status, 2);
    await writeFile(at("not-one.snap"), "something else altogether, and long enough for a header");
    const [ended] = await offline(["snapshot", "inspect", at("not-one.snap")]);
    assert.equal(ended?.status, 1);
    assert.match(ended?.stderr ?? "", /is damaged: this is no snapshot/);
  });
});
