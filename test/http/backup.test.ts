/** `GET /v1/backup`: the whole state at the revision that the answer names, taken no faster than it is read. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { loadBackup } from "../../src/backup/check.ts";
import { openBackup } from "../../src/backup/format.ts";
import { NotApplied } from "../../src/errors.ts";
import { joined, stateOf } from "../backup/samples.ts";
import { assertProblem, fixture } from "./fixture.ts";

async function machineIn(response: Response) {
  assert.ok(response.body !== null);
  return await loadBackup(await openBackup(response.body));
}

describe("GET /v1/backup", () => {
  it("answers with the store at the revision that its headers name", async () => {
    const { send, put, replica } = fixture();
    for (const key of ["a", "b", "a"]) await put(key, `${key} is here`);
    const expected = stateOf(replica.machine);
    const response = await send("GET", "/v1/backup");
    await put("c");
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("holdfast-revision"), "3");
    assert.equal(response.headers.get("content-type"), "application/vnd.holdfast.backup");
    assert.equal(
      response.headers.get("content-disposition"),
      'attachment; filename="holdfast-c1-3.backup"',
    );
    const { machine, summary } = await machineIn(response);
    assert.deepEqual(stateOf(machine), expected);
    const { revision, keys, node, clusterId, software } = summary;
    assert.deepEqual(
      { revision, keys, node, clusterId, software },
      { revision: 3, keys: 2, node: "n1", clusterId: "c1", software: "0.1.0" },
    );
    assert.deepEqual(replica.reads, ["linearizable"]);
  });

  it("waits for no leader where a stale state will do", async () => {
    const { send, put, replica } = fixture();
    await put("a");
    replica.refusal = new NotApplied("no_leader", "nobody leads");
    await assertProblem(await send("GET", "/v1/backup"), 503, "no_leader");
    const response = await send("GET", "/v1/backup?consistency=stale");
    assert.equal(response.headers.get("holdfast-staleness-ms"), "0");
    assert.equal((await machineIn(response)).summary.revision, 1);
    await assertProblem(await send("GET", "/v1/backup?consistency=never"), 400, "bad_request");
  });

  it("tells HEAD what it would begin with, and takes nothing", async () => {
    const { send, put } = fixture({ limits: { backupsMax: 1 } });
    await put("a");
    for (let i = 0; i < 3; i++) {
      const response = await send("HEAD", "/v1/backup");
      assert.equal(response.status, 200);
      assert.equal(response.headers.get("holdfast-revision"), "1");
      assert.equal(await response.text(), "");
    }
  });

  it("is made no further ahead than it is read, and is over when its reader goes", async () => {
    const { send, put } = fixture({ limits: { backupsMax: 1 } });
    const text = "x".repeat(100_000);
    for (let i = 0; i < 30; i++) await put(`k${i}`, text);
    const first = await send("GET", "/v1/backup");
    await assertProblem(await send("GET", "/v1/backup"), 429, "overloaded");
    const reader = first.body?.getReader();
    const { value } = await reader!.read();
    assert.equal(value?.length, 256 * 1024);
    await reader?.cancel();
    const second = await send("GET", "/v1/backup");
    assert.equal(second.status, 200);
    const pieces: Uint8Array[] = [];
    for await (const piece of second.body!) pieces.push(piece);
    assert.ok(joined(pieces).length > 3_000_000);
    assert.ok(pieces.every(({ length }) => length <= 256 * 1024));
    assert.equal((await send("HEAD", "/v1/backup")).status, 200);
  });

  it("breaks off where nobody reads it", async () => {
    const { send, put } = fixture({ limits: { backupsMax: 1, backupIdleMs: 20 } });
    await put("a", "x".repeat(1_000_000));
    const response = await send("GET", "/v1/backup");
    const reader = response.body!.getReader();
    await reader.closed.then(() => assert.fail("it ended well"), () => {});
    await assert.rejects(reader.read(), /nobody took/);
    assert.equal((await send("HEAD", "/v1/backup")).status, 200);
  });
});
