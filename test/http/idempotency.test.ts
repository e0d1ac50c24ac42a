/** `Idempotency-Key`: the same request again gets the first one's answer, and changes nothing. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OutcomeUnknown } from "../../src/errors.ts";
import { assertProblem, type Fixture, fixture, json } from "./fixture.ts";

interface Write {
  readonly method: string;
  readonly target: string;
  readonly document?: object;
  readonly value?: string;
}

/** Each write that there is, by what it does to a store in which lease 1 holds `k`, and `n` is 1. */
const writes: readonly Write[] = [
  { method: "PUT", target: "/v1/kv/new", value: "v" },
  { method: "PUT", target: "/v1/kv/new?ttl=1h", value: "v" },
  { method: "DELETE", target: "/v1/kv/n" },
  { method: "DELETE", target: "/v1/kv?prefix=n" },
  { method: "POST", target: "/v1/txn", document: { then: [{ add: { key: "n", delta: 1 } }] } },
  { method: "POST", target: "/v1/batch", document: { ops: [{ add: { key: "n", delta: 1 } }] } },
  { method: "POST", target: "/v1/leases", document: { ttl: "10s" } },
  { method: "POST", target: "/v1/leases/1/keepalive" },
  { method: "DELETE", target: "/v1/leases/1" },
];

async function prepared(): Promise<Fixture> {
  const made = fixture();
  await made.post("/v1/leases", { ttl: "10s" });
  await made.send("PUT", "/v1/kv/k?lease=1");
  await made.put("n", "1");
  return made;
}

function send(
  made: Fixture,
  { method, target, document, value }: Write,
  headers: Readonly<Record<string, string>> = { "idempotency-key": "one" },
): Promise<Response> {
  const body = document === undefined ? value : JSON.stringify(document);
  return made.send(method, target, { headers, ...(body === undefined ? {} : { body }) });
}

async function told(response: Response): Promise<unknown> {
  const { status } = response;
  const names = ["etag", "holdfast-revision", "content-type"];
  return {
    status,
    body: await response.json(),
    headers: names.map((name) => response.headers.get(name)),
  };
}

describe("an Idempotency-Key", () => {
  for (const write of writes) {
    it(`makes ${write.method} ${write.target} happen once`, async () => {
      const made = await prepared();
      const first = await told(await send(made, write));
      const { revision } = made.replica.machine.store;
      const leases = [...made.replica.machine.leases()];
      for (let again = 0; again < 3; again++) {
        assert.deepEqual(await told(await send(made, write)), first);
      }
      assert.equal(made.replica.machine.store.revision, revision);
      assert.deepEqual([...made.replica.machine.leases()], leases);
    });
  }

  it("gives the first answer also where that was not heard, or came as another document", async () => {
    const made = await prepared();
    const add = {
      method: "POST",
      target: "/v1/txn",
      document: { then: [{ add: { key: "n", delta: 1 } }] },
    };
    made.replica.loss = new OutcomeUnknown("lost");
    await assertProblem(await send(made, add), 504, "outcome_unknown", "unknown");
    made.replica.loss = null;
    await made.send("PUT", "/v1/kv/n", { body: "40" });
    const spelled = {
      ...add,
      document: { if: [], then: [{ add: { delta: "1", key: "bg==", keyEncoding: "base64" } }] },
    };
    const { results } = await json(await send(made, spelled));
    assert.deepEqual(results, [{ revision: 3, version: 2, value: "2" }]);
    assert.equal(await (await made.send("GET", "/v1/kv/n")).text(), "40");
  });

  it("gives a refusal again, though it would not be one now", async () => {
    const made = await prepared();
    const headers = { "idempotency-key": "one", "if-none-match": "*" };
    const write = { method: "PUT", target: "/v1/kv/n", value: "2" };
    await assertProblem(
      await send(made, write, headers),
      412,
      "precondition_failed",
      "not_applied",
    );
    await made.send("DELETE", "/v1/kv/n");
    const again = await send(made, write, headers);
    const problem = await assertProblem(again, 412, "precondition_failed", "not_applied");
    assert.equal(problem["revision"], 2);
    assert.equal((await made.send("GET", "/v1/kv/n")).status, 404);
  });

  it("does not go with another request", async () => {
    for (const first of writes) {
      for (const second of writes) {
        if (first === second) continue;
        const made = await prepared();
        await send(made, first);
        const { revision } = made.replica.machine.store;
        const response = await send(made, second);
        await assertProblem(response, 422, "idempotency_mismatch", "not_applied");
        assert.equal(made.replica.machine.store.revision, revision);
      }
    }
    const made = await prepared();
    await send(made, { method: "PUT", target: "/v1/kv/a", value: "v" });
    for (
      const [write, headers] of [
        [{ method: "PUT", target: "/v1/kv/a", value: "w" }, {}],
        [{ method: "PUT", target: "/v1/kv/b", value: "v" }, {}],
        [{ method: "PUT", target: "/v1/kv/a?ttl=1s", value: "v" }, {}],
        [{ method: "PUT", target: "/v1/kv/a", value: "v" }, { "content-type": "text/html" }],
        [{ method: "PUT", target: "/v1/kv/a", value: "v" }, { "if-match": "*" }],
      ] as const
    ) {
      const response = await send(made, write, {
        ...headers,
        "idempotency-key": "one",
      });
      await assertProblem(response, 422, "idempotency_mismatch", "not_applied");
    }
  });

  it("is another one for another write", async () => {
    const made = await prepared();
    const add = {
      method: "POST",
      target: "/v1/txn",
      document: { then: [{ add: { key: "n", delta: 1 } }] },
    };
    for (const key of ["one", "two", "Two", "two "]) {
      await send(made, add, { "idempotency-key": key });
    }
    assert.equal(await (await made.send("GET", "/v1/kv/n")).text(), "4");
  });

  it("is of 1 to 64 printable ASCII characters", async () => {
    const made = await prepared();
    const { length } = made.replica.log;
    const bad = ["", "x".repeat(65), "ä", "a\tb"];
    for (const write of writes) {
      for (const key of bad) {
        const response = await send(made, write, { "idempotency-key": key });
        const problem = await assertProblem(response, 400, "bad_request", "not_applied");
        assert.match(String(problem["detail"]), /^Idempotency-Key takes 1 to 64/);
      }
    }
    assert.equal(made.replica.log.length, length);
    const put = { method: "PUT", target: "/v1/kv/a", value: "v" };
    for (const key of ["x", "x".repeat(64), "a b~!"]) {
      assert.ok((await send(made, put, { "idempotency-key": key })).ok);
    }
  });

  it("does not keep requests that only read from the newest state", async () => {
    const made = await prepared();
    const read = {
      method: "POST",
      target: "/v1/batch",
      document: { ops: [{ get: { key: "n" } }] },
    };
    const value = async () => {
      const { results } = await json(await send(made, read));
      return (results as { item: { value: string } }[])[0]?.item.value;
    };
    assert.equal(await value(), "1");
    await made.put("n", "2");
    assert.equal(await value(), "2");
  });
});

describe("a Holdfast-Sequence", () => {
  const add = {
    method: "POST",
    target: "/v1/txn",
    document: { then: [{ add: { key: "n", delta: 1 } }] },
  };
  const sequence = (made: Fixture, text: string) =>
    send(made, add, { "idempotency-key": "client", "holdfast-sequence": text });

  it("tells a client's writes apart", async () => {
    const made = await prepared();
    for (const text of ["1;done=1", "2;done=1", "1;done=1", "3; done=2", "3;done=2"]) {
      assert.equal((await sequence(made, text)).status, 200, text);
    }
    assert.equal(await (await made.send("GET", "/v1/kv/n")).text(), "4");
  });

  it("voids what its client has the answers to", async () => {
    const made = await prepared();
    await sequence(made, "1;done=1");
    await sequence(made, "5;done=4");
    for (const text of ["1;done=1", "3;done=3"]) {
      await assertProblem(await sequence(made, text), 422, "idempotency_mismatch", "not_applied");
    }
    assert.equal((await sequence(made, "4;done=4")).status, 200);
    assert.equal(await (await made.send("GET", "/v1/kv/n")).text(), "4");
  });

  it("is a number, and the lowest one that is open", async () => {
    const made = await prepared();
    for (
      const text of [
        "",
        "1",
        "1;",
        "x;done=1",
        "1;done=2",
        "-1;done=0",
        "1;done=",
        "99999999999999999;done=1",
      ]
    ) {
      const problem = await assertProblem(
        await sequence(made, text),
        400,
        "bad_request",
        "not_applied",
      );
      assert.match(String(problem["detail"]), /^Holdfast-Sequence takes/);
    }
  });
});
