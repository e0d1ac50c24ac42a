import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { statusOf } from "../../src/cli/command.ts";
import { run } from "../../src/cli/run.ts";
import { type Client, connect } from "../../src/client/mod.ts";
import { type Ended, temporaryDirectory } from "./processes.ts";
import { ServedNode } from "./served-node.ts";

describe("lock", { timeout: 120_000 }, () => {
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

  const lock = (args: readonly string[], script: string) =>
    node.begin(["lock", ...args, "--", "sh", "-c", script]);
  /** Prints its token, and goes on until the file is there. */
  const untilThere = (path: string): string =>
    `echo "token $HOLDFAST_LOCK_TOKEN"; until test -e ${path}; do sleep 0.02; done`;
  /** Behind what may have been told of the wait. */
  const lastOf = ({ stderr }: Ended) => JSON.parse(stderr.trimEnd().split("\n").at(-1) ?? "");
  const tokenIn = (line: string): number => Number(line.split(" ")[1]);

  it("refuses a wrong command line before it asks anybody", async () => {
    for (
      const [argv, message] of [
        [["lock", "k"], /^COMMAND is missing, behind --/],
        [["lock", "k", "true"], /^"true" is one word too many|^COMMAND is missing/],
        [["lock", "--", "true"], /^NAME is missing/],
        [["lock", "k", "--ttl", "5ms", "--", "true"], /^--ttl takes a duration from 1s/],
        [["lock", "k", "--grace", "soon", "--", "true"], /^--grace takes/],
      ] as const
    ) {
      await assert.rejects(run(argv), (error) => {
        assert.equal(statusOf(error), 2);
        assert.match(String(error instanceof Error ? error.message : error), message);
        return true;
      });
    }
  });

  it("runs the command, hands it the fencing token, and passes its exit status on", async () => {
    const first = await lock(["l/status"], 'echo "token $HOLDFAST_LOCK_TOKEN"; exit 3').ended;
    assert.equal(first.status, 3, first.stderr);
    const second = await lock(["l/status", "--wait", "0"], 'echo "token $HOLDFAST_LOCK_TOKEN"')
      .ended;
    assert.equal(second.status, 0, second.stderr);
    assert.ok(tokenIn(first.stdout) > 0);
    assert.ok(tokenIn(second.stdout) > tokenIn(first.stdout));
    assert.equal((await lock(["l/status"], "kill -9 $$").ended).status, 128 + 9);
    const absent = await node.begin(["lock", "l/status", "--json", "--", "/nonexistent"]).ended;
    assert.equal(absent.status, 127);
    assert.equal(lastOf(absent).code, "not_run");
    assert.equal(await client.get("l/status"), null);
  });

  it("lets nobody else in, tells who waits for whom, and lets the next in at the end", async () => {
    const gate = `${directory}/gate`;
    const holder = lock(["l/wait"], untilThere(gate));
    const token = tokenIn(await holder.line(/^token/));
    const hasty = await lock(["l/wait", "--wait", "0", "--json"], "true").ended;
    assert.equal(hasty.status, 1);
    assert.equal(lastOf(hasty).code, "locked");
    const patient = lock(["l/wait"], 'echo "token $HOLDFAST_LOCK_TOKEN"');
    await patient.errorLine(/^waiting for l\/wait, held by .*, process \d+: sh -c/);
    await writeFile(gate, "");
    assert.equal((await holder.ended).status, 0);
    assert.ok(tokenIn(await patient.line(/^token/)) > token);
    assert.equal((await patient.ended).status, 0);
  });

  it("passes to another when its holder is killed, with a higher token", async () => {
    const never = `${directory}/never`;
    const pid = `${directory}/pid`;
    const holder = lock(["l/kill", "--ttl", "1s"], `echo $$ > ${pid}; ${untilThere(never)}`);
    const token = tokenIn(await holder.line(/^token/));
    holder.kill("SIGKILL");
    const next = lock(["l/kill", "--ttl", "1s"], 'echo "token $HOLDFAST_LOCK_TOKEN"');
    assert.ok(tokenIn(await next.line(/^token/)) > token);
    assert.equal((await next.ended).status, 0);
    // Its command outlives it, which is what the token is for.
    process.kill(Number(await readFile(pid, "utf8")), "SIGKILL");
    await holder.ended;
  });

  it("hands signals on to the command, and gives the lock back", async () => {
    const script = "trap 'exit 5' TERM; echo ready; while true; do sleep 0.02; done";
    const holder = lock(["l/signal"], script);
    await holder.line(/^ready/);
    holder.kill("SIGTERM");
    assert.equal((await holder.ended).status, 5);
    assert.equal(await client.get("l/signal"), null);
  });

  it("ends with a signal's status where one comes while it waits", async () => {
    const gate = `${directory}/gate-2`;
    const holder = lock(["l/abort"], untilThere(gate));
    await holder.line(/^token/);
    const waiting = lock(["l/abort"], "echo never");
    await waiting.errorLine(/^waiting for/);
    waiting.kill("SIGINT");
    const { status, stdout } = await waiting.ended;
    assert.deepEqual([status, stdout], [128 + 2, ""]);
    await writeFile(gate, "");
    assert.equal((await holder.ended).status, 0);
    await rm(gate);
  });

  it("ends the command where the lock is lost, and says so by a status of its own", async () => {
    for (const trap of ["", "trap '' TERM; "]) {
      const flags = ["l/lost", "--ttl", "3s", "--grace", "100ms", "--json"];
      const holder = lock(flags, `${trap}echo ready; while true; do sleep 0.02; done`);
      await holder.line(/^ready/);
      const item = await client.get("l/lost");
      await client.revokeLease(item?.lease ?? "");
      const ended = await holder.ended;
      assert.equal(ended.status, 8, ended.stderr);
      assert.equal(lastOf(ended).code, "lock_lost");
    }
  });

  it("ends the command when it wakes from a pause in which the lock became another's", async () => {
    const holder = lock(["l/pause", "--ttl", "1s"], "echo ready; while true; do sleep 0.02; done");
    await holder.line(/^ready/);
    holder.kill("SIGSTOP");
    const next = await lock(["l/pause"], "echo mine").ended;
    assert.deepEqual([next.status, next.stdout], [0, "mine\n"]);
    holder.kill("SIGCONT");
    const { status, stderr } = await holder.ended;
    assert.equal(status, 8);
    assert.match(stderr, /^holdfast lock: l\/pause was lost: another may hold it/m);
  });

  it("ends the command where no node answers for as long as the lease lasts", async () => {
    const lonely = await ServedNode.start();
    const script = "echo ready; while true; do sleep 0.02; done";
    const holder = lonely.begin(["lock", "l", "--ttl", "1s", "--", "sh", "-c", script]);
    await holder.line(/^ready/);
    await lonely.die();
    assert.equal((await holder.ended).status, 8);
  });
});
