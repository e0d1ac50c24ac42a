import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createPeerAuthenticator } from "../../src/adapters/peer-signature.ts";
import { encodeRequest } from "../../src/adapters/peer-wire.ts";
import { pathOf, type WireVersion } from "../../src/adapters/wire-version.ts";
import { defaultInflightMax, raftRoutes } from "../../src/http/raft-routes.ts";
import type { PeerHandler } from "../../src/ports.ts";
import { wireLimits } from "../adapters/peer-arbitraries.ts";
import { handlerWith, heartbeat, replyTo } from "../adapters/transport-conformance.ts";

/** What happened, in order. */
class Scene {
  readonly events: string[] = [];
  needs: number;
  raising: Promise<void> = Promise.resolve();
  readonly #wire: WireVersion;

  constructor(needs: number) {
    this.needs = needs;
    const needed = (): number => this.needs;
    this.#wire = {
      speaks: 2,
      get needs(): number {
        return needed();
      },
      raise: async (version) => {
        await this.raising;
        this.events.push(`raised ${version}`);
        this.needs = version;
      },
      onRefused: (from, spoken) => this.events.push(`refused ${from}, who speaks ${spoken}`),
      onRefusal: () => {},
    };
  }

  /** A heartbeat from a node that speaks `speaks`, in a message of `version`. */
  async post(speaks: number, version: number): Promise<Response> {
    const handler: PeerHandler = handlerWith({
      receive: (message) => {
        this.events.push("handled");
        return Promise.resolve(replyTo(message));
      },
    });
    const of = (self: string, spoken: number) =>
      createPeerAuthenticator({
        ...{ self, clusterId: "c1", secrets: ["s".repeat(32)], speaks: spoken },
        wallNow: () => 1_700_000_000_000,
      });
    const app = raftRoutes({
      handler,
      authenticator: of("b", 2),
      wire: this.#wire,
      limits: { wire: wireLimits, inflightMax: defaultInflightMax, bodyTimeoutMs: 10_000 },
    });
    const body = encodeRequest(heartbeat());
    const path = pathOf("heartbeat", version);
    const { headers } = of("a", speaks).sealRequest("b", path, body);
    return await app.request(path, { method: "POST", headers, body });
  }
}

async function detail(response: Response): Promise<string> {
  const body = await response.json() as { detail: string };
  assert.equal(response.status, 401, body.detail);
  return body.detail;
}

describe("the peer routes of a node that speaks version 2", () => {
  it("hear version 1 as long as that is all it needs", async () => {
    const scene = new Scene(1);
    assert.equal((await scene.post(1, 1)).status, 200);
    assert.equal((await scene.post(2, 1)).status, 200);
    assert.deepEqual([scene.events, scene.needs], [["handled", "handled"], 1]);
  });

  it("need version 2, durably, before a message of that version is handled", async () => {
    const scene = new Scene(1);
    const durable = Promise.withResolvers<void>();
    scene.raising = durable.promise;
    const answer = scene.post(2, 2);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(scene.events, []);
    durable.resolve();
    assert.equal((await answer).status, 200);
    assert.deepEqual(scene.events, ["raised 2", "handled"]);
    await scene.post(2, 2);
    assert.deepEqual(scene.events, ["raised 2", "handled", "handled"]);
  });

  it("handle no message of a version that the disk could not be told of", async () => {
    const scene = new Scene(1);
    scene.raising = Promise.reject(new Error("the disk is full"));
    assert.equal((await scene.post(2, 2)).status, 500);
    assert.deepEqual([scene.events, scene.needs], [[], 1]);
  });

  it("refuse who speaks less than it needs, and say what to do", async () => {
    const scene = new Scene(2);
    const response = await scene.post(1, 1);
    assert.equal(response.headers.get("holdfast-needs"), "2");
    const said = await detail(response);
    assert.equal(said, "a speaks version 1, and this cluster needs 2: upgrade it first");
    assert.deepEqual(scene.events, ["refused a, who speaks 1"]);
  });

  it("hear who speaks version 2 and needs 1: it was away when the version rose", async () => {
    const scene = new Scene(2);
    assert.equal((await scene.post(2, 1)).status, 200);
    assert.deepEqual(scene.events, ["handled"]);
  });

  it("take no message of version 2 from who doesn't speak it", async () => {
    const scene = new Scene(1);
    await detail(await scene.post(1, 2));
    assert.deepEqual([scene.events, scene.needs], [["refused a, who speaks 1"], 1]);
  });

  it("say of a message of a later version that this node is to be upgraded", async () => {
    const said = await detail(await new Scene(1).post(3, 3));
    assert.equal(
      said,
      "this node speaks versions up to 2, and this message is of version 3: upgrade this node first",
    );
  });
});
