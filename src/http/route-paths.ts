/** Which route serves a path. */
import { rolePrefix, tokenPrefix } from "./access/access-routes.ts";
import { keyPrefix } from "./kv-routes.ts";
import { keepAliveSuffix, leasePrefix } from "./lease-routes.ts";
import { memberPrefix } from "./member-routes.ts";

/** What a prefix stands before is served by one route, whatever it is: a key may well be `{key}`. */
const behind: readonly (readonly [prefix: string, route: string])[] = [
  [keyPrefix, spelled("/v1/kv/{key}")],
  [memberPrefix, spelled("/v1/members/{id}")],
  [leasePrefix, spelled("/v1/leases/{id}")],
  [tokenPrefix, spelled("/v1/access/tokens/{id}")],
  [rolePrefix, spelled("/v1/access/roles/{name}")],
];
const keepAliveRoute = spelled("/v1/leases/{id}/keepalive");

/** The route that serves a request's path, as {@link spelled}; the path where no name is in it. */
export function routeOf(path: string): string {
  if (!path.startsWith("/v1/")) return path;
  for (const [prefix, route] of behind) {
    if (!path.startsWith(prefix)) continue;
    return prefix === leasePrefix && path.endsWith(keepAliveSuffix) ? keepAliveRoute : route;
  }
  return path;
}

/** A route as Hono has it, to whom a brace means something. */
export function spelled(route: string): string {
  return route.replaceAll(/[{}]/g, "~");
}
