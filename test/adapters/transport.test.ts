import { createFetchTransport, defaultLanes } from "../../src/adapters/fetch-transport.ts";
import { createMemoryNetwork } from "../../src/adapters/memory-transport.ts";
import { createPeerAuthenticator } from "../../src/adapters/peer-signature.ts";
import { createSystemClock } from "../../src/adapters/system-clock.ts";
import { createUndiciFetch, type UndiciFetch } from "../../src/adapters/undici-fetch.ts";
import { defaultInflightMax, raftRoutes } from "../../src/http/raft-routes.ts";
import { wireLimits } from "./peer-arbitraries.ts";
import { serveFetch } from "./peer-server.ts";
import { describeTransport, type TransportUnderTest } from "./transport-conformance.ts";

const clock = createSystemClock();
const secret = "a secret of at least thirty-two characters";
const isBun = "bun" in process.versions;
const isDeno = "deno" in process.versions;

describeTransport({
  name: "memory",
  knowsRefusal: true,
  connect(handler) {
    const network = createMemoryNetwork({ clock, limits: wireLimits });
    network.attach("b", handler);
    const transport = network.transport("a");
    const stopPeer = () => Promise.resolve(network.detach("b"));
    const stop = () => Promise.resolve(transport.close());
    return Promise.resolve({ transport, stopPeer, stop });
  },
});

function overHttp(
  name: string,
  secrets: readonly string[],
  createFetch: () => Pick<UndiciFetch, "fetch" | "close">,
): TransportUnderTest {
  return {
    name,
    knowsRefusal: !(isDeno && name.startsWith("global")),
    async connect(handler) {
      const node = (self: string) =>
        createPeerAuthenticator({ self, clusterId: "c1", secrets, wallNow: () => clock.wallNow() });
      const app = raftRoutes({
        handler,
        authenticator: node("b"),
        limits: { wire: wireLimits, inflightMax: defaultInflightMax, bodyTimeoutMs: 10_000 },
      });
      const server = await serveFetch((request) => app.fetch(request));
      const { fetch, close } = createFetch();
      const transport = createFetchTransport({
        authenticator: node("a"),
        clock,
        fetch,
        urls: { b: server.url },
        limits: { wire: wireLimits, replyBytesMax: 1 << 20, lanes: defaultLanes },
      });
      return {
        transport,
        stopPeer: server.stop,
        async stop() {
          transport.close();
          await server.stop();
          await close();
        },
      };
    },
  };
}

const globalFetch = () => ({
  fetch: (url: string, init: RequestInit) => fetch(url, init),
  close: () => Promise.resolve(),
});
describeTransport(overHttp("global fetch, signed", [secret], globalFetch));
describeTransport(overHttp("global fetch", [], globalFetch));
// Under Bun, `undici` is a stand-in of the runtime's own.
if (!isBun) {
  describeTransport(overHttp("undici, signed", [secret], createUndiciFetch));
  describeTransport(overHttp("undici", [], createUndiciFetch));
}
