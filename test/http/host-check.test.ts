import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Door, type Room } from "../../runtimes/door.ts";
import { HostCheck, type HostCheckOptions } from "../../src/http/host-check.ts";

const members = ["http://kv-1.example:4001", "https://KV-2.example/base"];
let known: readonly string[] = members;

/** A door of a node whose routes answer all the same. */
function door(options: Partial<HostCheckOptions> = {}): Door {
  const room: Room = {
    handle: ({ method }) => Promise.resolve(new Response(method, { headers: { "x-room": "yes" } })),
    marks: () => ({ "holdfast-node": "n1" }),
    urls: () => known,
  };
  const check = new HostCheck({
    allowedHosts: [],
    allowedOrigins: [],
    known: () => known,
    peersSign: true,
    isTls: false,
    ...options,
  });
  return new Door(room, check);
}

function ask(
  at: Door,
  headers: Readonly<Record<string, string>>,
  method: string = "GET",
  path: string = "/v1/kv/a",
): Promise<Response> {
  // What `fetch` would not send, a browser does.
  const request = { url: `http://127.0.0.1:4001${path}`, method, headers: new Headers(headers) };
  return at.handle(request as Request);
}

describe("a request's Host", () => {
  const status = async (host: string, options: Partial<HostCheckOptions> = {}): Promise<number> =>
    (await ask(door(options), { host })).status;

  it("is an address, a name of loopback, or one in a member's URL", async () => {
    for (
      const host of [
        "127.0.0.1:4001",
        "10.1.2.3",
        "[::1]:4001",
        "[fe80::1]",
        "localhost:4001",
        "LOCALHOST",
        "localhost.",
        "holdfast:4001",
        "n1.localhost:4001",
        "kv-1.example",
        "kv-1.example:8080",
        "Kv-2.Example.:443",
      ]
    ) assert.equal(await status(host), 200, host);
    assert.equal((await ask(door(), {})).status, 200, "no browser leaves it out");
  });

  it("is refused where it is another name, whatever the method", async () => {
    for (
      const host of [
        "evil.example:4001",
        "kv-1.example.evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "1.2.3.4.5",
        "kv-1.example@evil.example",
        "evil.example/kv-1.example",
        "kv-1.example:4001:1",
        "",
        " ",
      ]
    ) assert.equal(await status(host), 403, JSON.stringify(host));
    const answer = await ask(door(), { host: "evil.example" }, "PUT");
    const { code, outcome, detail } = await answer.json();
    assert.deepEqual([code, outcome], ["forbidden", "not_applied"]);
    assert.match(detail, /"evil\.example".*--allowed-hosts/);
    assert.equal(answer.headers.get("holdfast-node"), "n1");
  });

  it("may be another name that is allowed, or any", async () => {
    const allowedHosts = ["kv.example"];
    assert.equal(await status("KV.example:80", { allowedHosts }), 200);
    assert.equal(await status("evil.example", { allowedHosts }), 403);
    assert.equal(await status("evil.example", { allowedHosts: ["*"] }), 200);
  });

  it("follows the members", async () => {
    const at = door();
    assert.equal((await ask(at, { host: "kv-3.example" })).status, 403);
    known = [...members, "http://kv-3.example:4001"];
    assert.equal((await ask(at, { host: "kv-3.example" })).status, 200);
    known = members;
  });

  it("is nobody's business among peers, who sign what they say", async () => {
    const at = door();
    const answer = await ask(at, { host: "evil.example" }, "POST", "/raft/v1/append");
    assert.equal(answer.status, 200);
  });

  it("is looked at where peers share no secret, and any page could pass for one", async () => {
    const at = door({ peersSign: false });
    const status = async (headers: Readonly<Record<string, string>>) =>
      (await ask(at, headers, "POST", "/raft/v1/forward")).status;
    assert.equal(await status({ host: "evil.example" }), 403);
    assert.equal(await status({ host: "127.0.0.1", origin: "https://evil.example" }), 403);
    assert.equal(await status({ host: "kv-1.example:4001" }), 200);
  });
});

describe("a request's Origin", () => {
  const host = "127.0.0.1:4001";
  const page = "https://app.example";

  it("is the node's own, or absent", async () => {
    for (const origin of [`http://${host}`, `https://${host}`]) {
      const answer = await ask(door(), { host, origin }, "PUT");
      assert.equal(answer.status, 200, origin);
      assert.equal(answer.headers.get("access-control-allow-origin"), null);
    }
    const overTls = door({ isTls: true });
    assert.equal((await ask(overTls, { host, origin: `http://${host}` })).status, 403);
    assert.equal((await ask(overTls, { host, origin: `https://${host}` })).status, 200);
  });

  it("is refused where it is another's, and nothing is told of who may", async () => {
    for (const origin of [page, "null", "http://127.0.0.1:4002", "http://127.0.0.1:4001.evil"]) {
      for (const method of ["GET", "PUT", "OPTIONS"]) {
        const preflight = { "access-control-request-method": "PUT" };
        const answer = await ask(door(), { host, origin, ...preflight }, method);
        assert.equal(answer.status, 403, origin);
        assert.deepEqual([...answer.headers.keys()].filter((name) => name.startsWith("acc")), []);
        assert.match((await answer.json()).detail, /--allowed-origins/);
      }
    }
  });

  it("may be a page's that is allowed, which then reads every answer", async () => {
    const at = door({ allowedOrigins: [page] });
    const answer = await ask(at, { host, origin: page }, "PUT");
    assert.equal(answer.headers.get("access-control-allow-origin"), page);
    assert.equal(answer.headers.get("access-control-expose-headers"), "*");
    assert.equal(answer.headers.get("vary"), "Origin");
    assert.equal(answer.headers.get("x-room"), "yes");
    assert.equal((await ask(at, { host, origin: "https://other.example" })).status, 403);
    const any = await ask(door({ allowedOrigins: ["*"] }), { host, origin: "null" });
    assert.equal(any.headers.get("access-control-allow-origin"), "*");
  });

  it("of such a page is answered before anything is done", async () => {
    const asked = { "access-control-request-method": "PUT" };
    const at = door({ allowedOrigins: [page] });
    const answer = await ask(at, { host, origin: page, ...asked }, "OPTIONS");
    assert.equal(answer.status, 204);
    assert.equal(answer.headers.get("x-room"), null);
    assert.equal(answer.headers.get("access-control-allow-origin"), page);
    assert.match(answer.headers.get("access-control-allow-methods") ?? "", /PUT.*DELETE/);
    const allowed = answer.headers.get("access-control-allow-headers")?.split(", ") ?? [];
    for (const name of ["authorization", "holdfast-sequence", "idempotency-key", "if-match"]) {
      assert.ok(allowed.includes(name), name);
    }
    assert.equal(answer.headers.get("access-control-allow-credentials"), null);
  });
});
