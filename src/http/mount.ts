/**
 * A handler of whole requests as a Hono app that mounts into another one, below any path.
 *
 * Hono copies the routes of an app that is mounted into the router of the other, which takes paths percent-decoded. A
 * key may hold any bytes, so the app has one route for all there is, and the handler is given the target as it came,
 * without the segments that the app is mounted below.
 */
import { Hono } from "hono";
import { type Bindings, targetOf } from "./target.ts";

/**
 * The app.
 *
 * @example
 * ```ts
 * import { Hono } from "hono";
 * const inner = mountable(async (_, { incoming }) => new Response(incoming?.url));
 * const app = new Hono().route("/kv", inner);
 * await (await app.request("/kv/v1/kv/a%2Fb")).text(); // "/v1/kv/a%2Fb"
 * ```
 */
export function mountable(
  handle: (request: Request, bindings: Bindings) => Promise<Response>,
): Hono<{ Bindings: Bindings }> {
  const app = new Hono<{ Bindings: Bindings }>();
  app.all("*", (c) => {
    const request = c.req.raw;
    // `/kv/*`, as it was mounted. The helpers of `hono/route` look for a symbol that each copy of Hono has for itself,
    // and the app that this one is mounted in may come with another copy.
    const base = c.req.routePath.split("/").filter((segment) => segment !== "").slice(0, -1);
    const url = below(targetOf(request.url, c.env), base.length);
    return handle(request, { incoming: { url } });
  });
  return app;
}

/** A target without the first so many segments of its path. */
function below(target: string, segments: number): string {
  const query = target.indexOf("?");
  const end = query === -1 ? target.length : query;
  let at = 0;
  for (let left = segments; left > 0 && at < end; left--) {
    const next = target.indexOf("/", at + 1);
    at = next === -1 || next > end ? end : next;
  }
  return at === end ? `/${target.slice(end)}` : target.slice(at);
}
