/**
 * What the web framework alone does on a runtime: the same puts and gets over a Map, in one process, without Raft and
 * without a disk. `bun bench/bare-hono.ts bun 4100`; served as the runtime's own file serves Holdfast.
 */
import { Hono } from "hono";
import process from "node:process";
import { serverLimits } from "../src/config.ts";
import type { Runtime } from "../runtimes/open-node.ts";

const [name = "", port = ""] = process.argv.slice(2);
const { runtime } = (await import(`../runtimes/${name}.ts`)) as { readonly runtime: Runtime };

const values = new Map<string, Uint8Array<ArrayBuffer>>();
const app = new Hono();
app.put("/v1/kv/:key", async (c) => {
  const key = c.req.param("key");
  const status = values.has(key) ? 200 : 201;
  values.set(key, new Uint8Array(await c.req.arrayBuffer()));
  return c.json({ key }, status);
});
app.get("/v1/kv/:key", (c) => {
  const value = values.get(c.req.param("key"));
  return value === undefined ? c.notFound() : c.body(value);
});

await runtime.serve(
  { host: "127.0.0.1", port: Number(port) },
  async (request) => await app.fetch(request),
  serverLimits,
);
process.stdout.write(`bare Hono listening on http://127.0.0.1:${port} (${runtime.name})\n`);
