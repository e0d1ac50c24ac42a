import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createNodeNames, endpointsOf, type Names } from "../../src/adapters/dns-lookup.ts";
import { thisRuntime } from "../../src/cli/node.ts";
import { DnsName, type DnsServer as Server } from "../../src/config/dns-name.ts";
import { DnsServer } from "./dns-server.ts";

const at = new DnsName("holdfast.example", 4001);

/** Names as this runtime looks them up. */
async function namesOf(servers: readonly Server[]): Promise<Names> {
  if (thisRuntime !== "deno") return createNodeNames(servers);
  return (await import("../../runtimes/deno-names.ts")).createDenoNames(servers);
}

describe("looking members up by a name", { timeout: 60_000 }, () => {
  const ask = async (server: DnsServer, name: DnsName = at): Promise<readonly string[]> => {
    const servers = [{ address: "127.0.0.1", port: server.port }];
    return await endpointsOf(name, await namesOf(servers), servers);
  };

  it("takes all addresses, of both kinds, with the name's port", async () => {
    using server = await DnsServer.start();
    server.records = {
      "holdfast.example": { A: ["127.0.0.3", "127.0.0.2"], AAAA: ["fd00:0:0:0:0:0:0:1"] },
    };
    assert.deepEqual(await ask(server), ["127.0.0.2:4001", "127.0.0.3:4001", "[fd00::1]:4001"]);
    server.records = { "holdfast.example": { A: ["127.0.0.9"] } };
    assert.deepEqual(await ask(server), ["127.0.0.9:4001"]);
  });

  it("takes what SRV records say before that, and their ports", async () => {
    using server = await DnsServer.start();
    server.records = {
      "holdfast.example": { A: ["127.0.0.9"] },
      "_holdfast._tcp.holdfast.example": {
        SRV: [{ target: "n1.example", port: 1 }, { target: "n2.example", port: 2 }],
      },
      "n1.example": { A: ["127.0.0.1"] },
      "n2.example": { A: ["127.0.0.2"] },
    };
    assert.deepEqual(await ask(server), ["127.0.0.1:1", "127.0.0.2:2"]);
    assert.deepEqual(await ask(server, new DnsName("holdfast.example", null)), [
      "127.0.0.1:1",
      "127.0.0.2:2",
    ]);
    // Some that can't be found may be members: then nothing was found.
    server.records = { ...server.records, "n2.example": {} };
    await assert.rejects(ask(server));
  });

  it("leaves names to whoever connects where it asks as the system does", async () => {
    const names: Names = {
      services: async () => [{ host: "n2.example.", port: 2 }, { host: "n1.example", port: 1 }],
      addresses: () => Promise.reject(new Error("asked")),
    };
    assert.deepEqual(await endpointsOf(at, names, []), ["n1.example:1", "n2.example:2"]);
    const system = await namesOf([]);
    assert.ok(
      (await system.addresses("localhost")).some((one) => /^(127\.0\.0\.1|::1)$/.test(one)),
    );
  });

  // Deno doesn't tell a failure from a name without such records.
  const skip = thisRuntime === "deno";
  it("fails where a part of the answer is missing", { skip }, async () => {
    using server = await DnsServer.start();
    server.records = { "holdfast.example": { A: ["127.0.0.2"], AAAA: null } };
    await assert.rejects(ask(server));
  });

  it("fails where there is nothing", async () => {
    using server = await DnsServer.start();
    await assert.rejects(ask(server));
    server.records = { "holdfast.example": {} };
    await assert.rejects(ask(server));
    await assert.rejects(
      ask(server, new DnsName("holdfast.example", null)),
      /_holdfast\._tcp\.holdfast\.example has no SRV records, and no port is given/,
    );
  });
});
