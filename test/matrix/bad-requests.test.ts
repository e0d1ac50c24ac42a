/** What a serving node refuses, from clients and from whoever says to be a peer; the store is as it was after it. */
import { after, before, describe, it } from "node:test";
import assert from "node:assert/strict";
import { connect } from "node:net";
import { createPeerAuthenticator } from "../../src/adapters/peer-signature.ts";
import { encodeForward, encodeRequest } from "../../src/adapters/peer-wire.ts";
import { newestVersion } from "../../src/kv/cluster-version.ts";
import { encodeCommand } from "../../src/kv/command-codec.ts";
import { Cluster, eventually, setups } from "./harness/cluster.ts";
import type { HttpAnswer, RequestOptions } from "./harness/http-client.ts";
import type { NodeProcess } from "./harness/node-process.ts";

const secret = "a secret that the cluster's members share";
const wrongSecret = "another secret, of some other cluster's";

type Refusal = readonly [
  what: string,
  method: string,
  path: string,
  options: RequestOptions,
  statuses: readonly number[],
  code: string | null,
];

const body = "changed";
const cbor = { "content-type": "application/cbor" };
const KIB = 1024;
/** Far beyond what elections of its own bring a cluster to. */
const FORGED_TERM = 1_000_000;

/** A null code: refused by the server, before the application sees it. */
const refusals: readonly Refusal[] = [
  ["a bad percent-encoding", "PUT", "/v1/kv/a%zz", { body }, [400], "bad_request"],
  ["half a percent-encoding", "PUT", "/v1/kv/a%2", { body }, [400], "bad_request"],
  ["a lone percent sign", "GET", "/v1/kv/%", {}, [400], "bad_request"],
  ["an empty key", "PUT", "/v1/kv/", { body }, [400], "bad_request"],
  ["a long key", "PUT", `/v1/kv/${"k".repeat(2049)}`, { body }, [400, 413], null],
  ["a long encoded key", "PUT", `/v1/kv/${"%6b".repeat(2049)}`, { body }, [400, 413], null],
  ["a large value", "PUT", "/v1/kv/a", { body: "x".repeat(KIB * KIB + 1) }, [413], "too_large"],
  [
    "a very large value",
    "PUT",
    "/v1/kv/a",
    { body: "x".repeat(6 * KIB * KIB) },
    [413],
    "too_large",
  ],
  [
    "a bad condition",
    "PUT",
    "/v1/kv/a",
    { body, headers: { "if-match": "twelve" } },
    [400],
    "bad_request",
  ],
  ["a condition on the past", "PUT", "/v1/kv/a", { body, headers: { "if-match": '"99999"' } }, [
    412,
  ], "precondition_failed"],
  ["a put where there is one", "PUT", "/v1/kv/a", { body, headers: { "if-none-match": "*" } }, [
    412,
  ], "precondition_failed"],
  ["a delete of nothing in particular", "DELETE", "/v1/kv", {}, [400], "bad_request"],
  ["a bad limit", "GET", "/v1/kv?prefix=a&limit=1e9", {}, [400], "bad_request"],
  ["a bad cursor", "GET", "/v1/kv?prefix=a&cursor=!!!", {}, [400], "bad_request"],
  ["a bad consistency", "GET", "/v1/kv/a?consistency=eventual", {}, [400], "bad_request"],
  ["a bad staleness", "GET", "/v1/kv/a?consistency=stale&max_stale=soon", {}, [400], "bad_request"],
  ["a method that a key has not", "POST", "/v1/kv/a", { body }, [405], null],
  ["an unknown path", "PUT", "/v1/nothing", { body }, [404], "no_such_route"],
  ["an unsigned vote", "POST", "/raft/v1/vote", { body, headers: cbor }, [401], "unauthenticated"],
  [
    "an unsigned append",
    "POST",
    "/raft/v1/append",
    { body: "\x9f\x9f", headers: cbor },
    [401],
    "unauthenticated",
  ],
  [
    "an unknown peer message",
    "POST",
    "/raft/v1/dance",
    { body, headers: cbor },
    [401],
    "unauthenticated",
  ],
];

for (const { name, runtimes } of setups) {
  describe(`what nodes refuse (${name})`, () => {
    let cluster: Cluster;
    before(async () => {
      cluster = await Cluster.start(runtimes, ["--secret", secret]);
    });
    after(() => cluster[Symbol.asyncDispose]());

    it("answers bad requests with clear errors, and changes nothing", async () => {
      const before = await fill(cluster);
      for (const node of cluster.nodes) {
        for (const [what, method, path, options, statuses, code] of refusals) {
          const answer = await cluster.http.request(`${node.url}${path}`, { ...options, method });
          const said = `${what} to ${node.id} (${node.runtime}): ${answer.status} ${answer.text()}`;
          assert.ok(statuses.includes(answer.status), said);
          assert.match(String(answer.headers["content-type"]), /^application\/problem\+json/, said);
          const problem = answer.json() as Record<string, unknown>;
          assert.equal(problem["status"], answer.status, said);
          if (code !== null) assert.equal(problem["code"], code, said);
          assert.ok(String(problem["detail"]).length > 5, said);
          if (["PUT", "DELETE"].includes(method)) {
            assert.equal(problem["outcome"], "not_applied", said);
          }
        }
        await sendGarbage(node);
      }
      assert.deepEqual(await contents(cluster), before, cluster.stderr());
    });

    it("refuses peer messages that are not signed for it, and takes those that are", async () => {
      const before = await fill(cluster);
      for (const node of cluster.nodes) {
        const { clusterId } = await cluster.status(node);
        const [from] = cluster.others(node.id);
        assert.ok(from);
        const as = (secrets: readonly string[], cluster = clusterId, to = node.id): Forger =>
          new Forger({ secrets, cluster, from: from.id, to, target: node });
        const vote = encodeRequest({
          ...{ type: "preVote", from: from.id, to: node.id, term: FORGED_TERM, id: 1 },
          ...{ lastIndex: 1e6, lastTerm: FORGED_TERM - 1 },
        });
        const forged = encodeForward({
          command: encodeCommand({
            type: "put",
            key: "forged",
            value: new TextEncoder().encode("forged"),
            contentType: "text/plain",
            conditions: [],
          }),
          timeoutMs: 1000,
        });
        for (const [path, message] of [["pre-vote", vote], ["forward", forged]] as const) {
          const refused: Readonly<Record<string, HttpAnswer>> = {
            unsigned: await as([]).post(cluster, path, message),
            wronglySigned: await as([wrongSecret]).post(cluster, path, message),
            ofAnotherCluster: await as([secret], "0123456789abcdef").post(cluster, path, message),
            forAnotherNode: await as([secret], clusterId, from.id).post(cluster, path, message),
            altered: await as([secret]).post(cluster, path, message, (sent) => flipLast(sent)),
          };
          for (const [how, answer] of Object.entries(refused)) {
            assert.equal(answer.status, 401, `${path} ${how}: ${answer.status} ${answer.text()}`);
            assert.equal((answer.json() as { code: string }).code, "unauthenticated");
          }
        }
        const genuine = await as([secret]).post(cluster, "pre-vote", vote);
        assert.equal(genuine.status, 200, "only the signature was wrong");
        for (const malformed of malformedBodies) {
          for (
            const path of ["pre-vote", "append", "forward", "snapshot-chunk", "install-snapshot"]
          ) {
            const answer = await as([secret]).post(cluster, path, malformed);
            assert.equal(answer.status, 400, `${path}: ${answer.status} ${answer.text()}`);
          }
        }
      }
      assert.deepEqual(await contents(cluster), before, cluster.stderr());
    });
  });
}

/** What is no message, or no CBOR: cut, nested, tagged, indefinite, enormous by its header, of the wrong shape. */
const malformedBodies: readonly Uint8Array[] = [
  new Uint8Array(0),
  Uint8Array.of(0xff),
  Uint8Array.of(0x9f, 0x01, 0xff),
  Uint8Array.of(0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
  Uint8Array.of(0x5b, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00),
  Uint8Array.of(0xd9, 0xdf, 0xff, 0x80),
  Uint8Array.of(0xa0),
  Uint8Array.of(0xa1, 0x69, ...new TextEncoder().encode("__proto__"), 0xa0),
  new Uint8Array(64 * KIB).fill(0x81),
  new Uint8Array(64 * KIB).fill(0x9f),
];

interface Forgery {
  readonly secrets: readonly string[];
  readonly cluster: string;
  readonly from: string;
  readonly to: string;
  readonly target: NodeProcess;
}

/** Speaks to a node as a peer would, with whatever secrets and names it was given. */
class Forger {
  readonly #forgery: Forgery;

  constructor(forgery: Forgery) {
    this.#forgery = forgery;
  }

  post(
    cluster: Cluster,
    path: string,
    message: Uint8Array,
    alter: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes,
  ): Promise<HttpAnswer> {
    const { secrets, cluster: clusterId, from, to, target } = this.#forgery;
    const speaks = newestVersion;
    const self = { self: from, clusterId, secrets, speaks, wallNow: () => Date.now() };
    const { headers } = createPeerAuthenticator(self).sealRequest(
      to,
      `/raft/v${newestVersion}/${path}`,
      message,
    );
    return cluster.http.request(`${target.url}/raft/v${newestVersion}/${path}`, {
      method: "POST",
      headers: { ...headers, ...cbor },
      body: alter(message),
    });
  }
}

function flipLast(bytes: Uint8Array): Uint8Array {
  const altered = bytes.slice();
  const last = altered.length - 1;
  altered[last] = (altered[last] ?? 0) ^ 1;
  return altered;
}

/** Bytes that are no HTTP; the node closes, or answers 4xx. */
async function sendGarbage(node: NodeProcess): Promise<void> {
  const garbage = [
    "\0\x01\x02\x03".repeat(500) + "\r\n\r\n",
    "GET\r\n\r\n",
    `GET / HTTP/1.1\r\nhost: x\r\nx-long: ${"y".repeat(200 * KIB)}\r\n\r\n`,
    "PUT /v1/kv/a HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\nchange",
    "PUT /v1/kv/a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nchange\r\n0\r\n\r\n",
    "PUT /v1/kv/a HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\ncut off",
  ];
  const { port } = new URL(node.url);
  await Promise.all(garbage.map((bytes) =>
    new Promise<void>((resolve) => {
      const socket = connect({ host: "127.0.0.1", port: Number(port) });
      const timer = setTimeout(() => socket.destroy(), 300);
      socket.on("error", () => {});
      socket.on("data", (data) => {
        const status = Number(/^HTTP\/1\.1 (\d+)/.exec(data.toString("latin1"))?.[1] ?? 400);
        assert.ok(
          status >= 400,
          `${JSON.stringify(bytes.slice(0, 40))}: ${data.toString("latin1")}`,
        );
      });
      socket.on("close", () => {
        clearTimeout(timer);
        resolve();
      });
      socket.write(bytes);
    })
  ));
}

async function fill(cluster: Cluster): Promise<unknown> {
  const [node] = cluster.nodes;
  for (const key of ["a", "a/b", "%00", "__proto__", "k/%2E%2E/k", "%ff"]) {
    const url = `${node?.url}/v1/kv/${key}`;
    const { status } = await cluster.http.request(url, { method: "PUT", body: `value of ${key}` });
    assert.ok(status === 201 || status === 200);
  }
  return await contents(cluster);
}

/** The whole store as every node lists it. */
async function contents(cluster: Cluster): Promise<unknown> {
  const lists = await Promise.all(
    cluster.nodes.map((node) =>
      eventually(`${node.id} lists`, async () => {
        const answer = await cluster.http.request(`${node.url}/v1/kv?prefix=`);
        return answer.status === 200 ? answer.json() : undefined;
      })
    ),
  );
  for (const list of lists) assert.deepEqual(list, lists[0]);
  const { term } = await cluster.status(await cluster.leader());
  assert.ok(term < FORGED_TERM, `term ${term} came from a forged message`);
  return lists[0];
}
