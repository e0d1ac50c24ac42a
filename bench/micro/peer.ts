/** Peer messages: their codec and signatures, and a request of each kind through the peers' routes, without a socket. */
import { bench, do_not_optimize, group } from "mitata";
import { createPeerAuthenticator } from "../../src/adapters/peer-signature.ts";
import {
  decodeForward,
  decodeForwardReply,
  decodeReply,
  decodeRequest,
  encodeForward,
  encodeForwardReply,
  encodeReply,
  encodeRequest,
  type PeerAuthenticator,
  peerPaths,
} from "../../src/adapters/peer-wire.ts";
import { defaultInflightMax, raftRoutes } from "../../src/http/raft-routes.ts";
import type { ReplyMessage, RequestMessage } from "../../src/raft/message.ts";
import { wireLimits } from "../../runtimes/open-node.ts";
import { BATCH, chain, commands } from "./samples.ts";

const append: RequestMessage = {
  ...{ type: "append", from: "n1", to: "n2", term: 1, id: 1 },
  ...{ previousIndex: 0, previousTerm: 0, previousCrc: 0, commit: 0, entries: chain(BATCH) },
};
const appendReply: ReplyMessage = {
  ...{ type: "appendReply", from: "n2", to: "n1", term: 1, id: 1, success: true },
  ...{ match: BATCH, rejectedIndex: 0, conflictTerm: 0, conflictIndex: 0 },
};
const heartbeat: RequestMessage = {
  ...{ type: "heartbeat", from: "n1", to: "n2", term: 1, id: 1 },
  ...{ commit: 1, round: 1, acknowledged: 1, leaderCommit: 1, ageMs: 0 },
};
const command = commands[0] ?? new Uint8Array(0);
const result = new Uint8Array(24);

export function peerBenches(): void {
  group(`peer codec: an append of ${BATCH} entries, and the small messages`, () => {
    const body = encodeRequest(append);
    bench("encode append", () => do_not_optimize(encodeRequest(append)));
    bench(
      "decode and check append",
      () => do_not_optimize(decodeRequest("append", body, wireLimits)),
    );
    const reply = encodeReply(appendReply);
    bench("encode append's reply", () => do_not_optimize(encodeReply(appendReply)));
    bench("decode append's reply", () => do_not_optimize(decodeReply("append", reply, wireLimits)));
    const beat = encodeRequest(heartbeat);
    bench("encode heartbeat", () => do_not_optimize(encodeRequest(heartbeat)));
    bench(
      "decode heartbeat",
      () => do_not_optimize(decodeRequest("heartbeat", beat, wireLimits)),
    );
    const secret = authenticatorOf("n1", ["a secret that the cluster's members share"]);
    bench("sign append", () => do_not_optimize(secret.sealRequest("n2", peerPaths.append, body)));
  });

  group("forward: a put of 256 bytes on its way from a follower to the leader", () => {
    const body = encodeForward({ command, timeoutMs: 2000 });
    const answer = encodeForwardReply({ type: "applied", index: 1, term: 1, result });
    bench("encode", () => do_not_optimize(encodeForward({ command, timeoutMs: 2000 })));
    bench("decode", () => do_not_optimize(decodeForward(body, wireLimits)));
    bench("decode reply", () => do_not_optimize(decodeForwardReply(answer, wireLimits)));
  });

  group("peers' routes: a request and its response, without sockets and without a secret", () => {
    const exchange = peerExchange();
    const bodies = {
      append: encodeRequest(append),
      heartbeat: encodeRequest(heartbeat),
      forward: encodeForward({ command, timeoutMs: 2000 }),
    };
    bench(`append of ${BATCH} entries`, () => exchange("append", bodies.append));
    bench("heartbeat", () => exchange("heartbeat", bodies.heartbeat));
    bench("forward", () => exchange("forward", bodies.forward));
  });
}

function authenticatorOf(self: string, secrets: readonly string[]): PeerAuthenticator {
  return createPeerAuthenticator({
    ...{ self, clusterId: "bench", secrets, wallNow: () => Date.now() },
  });
}

/** Posts to the routes of a node that agrees to everything at once. */
function peerExchange(): (
  type: "append" | "heartbeat" | "forward",
  body: Uint8Array<ArrayBuffer>,
) => Promise<void> {
  const sender = authenticatorOf("n1", []);
  const app = raftRoutes({
    handler: {
      receive: (message) =>
        Promise.resolve(
          message.type === "append" ? appendReply : {
            ...{ type: "heartbeatReply", from: "n2", to: "n1", term: 1, id: 1, round: 1 },
          },
        ),
      forwarded: () => Promise.resolve({ type: "applied", index: 1, term: 1, result }),
      managed: () => Promise.resolve({ type: "unknown" }),
      receiveChunk: () => Promise.resolve({ offset: 0, refused: true }),
    },
    authenticator: authenticatorOf("n2", []),
    limits: { wire: wireLimits, inflightMax: defaultInflightMax, bodyTimeoutMs: 60_000 },
  });
  return async (type, body) => {
    const path = peerPaths[type];
    const { headers } = sender.sealRequest("n2", path, body);
    const response = await app.fetch(
      new Request(`http://127.0.0.1:4001${path}`, {
        method: "POST",
        headers: { ...headers, "content-length": String(body.length) },
        body,
      }),
    );
    if (response.status !== 200) throw new Error(`${path}: ${await response.text()}`);
    do_not_optimize(await response.arrayBuffer());
  };
}
