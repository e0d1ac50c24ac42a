/** Keys as they were sent, under Bun. */
import type { Handler } from "./door.ts";

const keyPath = "/v1/kv";
/** Keys of more segments than this are taken as `Request.url` has them. */
const segmentsMax = 64;

type RoutedRequest = Request & { readonly params: Readonly<Record<string, string>> };

/**
 * Bun resolves the segments `.` and `..` (`%2e` as well) in `Request.url`, where a key is whatever was sent; its router
 * does not. So there is a route for each number of segments: where the URL has another number, or ends in a `/` that
 * may have been a dot's, it is put together again from the router's parameters. Bytes that are not UTF-8 are lost in
 * these: such a key is refused (by a `%` that spells nothing) rather than stored as another.
 */
export function keyRoutes(
  handler: Handler,
): Record<string, (request: RoutedRequest) => Promise<Response>> {
  const routes: ReturnType<typeof keyRoutes> = {};
  for (let count = 1, path = keyPath; count <= segmentsMax; count++) {
    path += `/:segment${count}`;
    routes[path] = (request) => {
      const { url } = request;
      const query = url.indexOf("?");
      const end = query === -1 ? url.length : query;
      if (pathSegments(url) === count + 2 && url[end - 1] !== "/") return handler(request);
      const key = Object.values(request.params).map(encodeURIComponent).join("/");
      const spelled = key.includes("%EF%BF%BD") ? "%" : key;
      return handler(request, { incoming: { url: `${keyPath}/${spelled}${url.slice(end)}` } });
    };
  }
  return routes;
}

/** How many segments the path of a URL has. */
function pathSegments(url: string): number {
  let count = 0;
  for (let at = url.indexOf("/", url.indexOf("://") + 3); at < url.length && at >= 0; at++) {
    const code = url.charCodeAt(at);
    if (code === 0x3f) break;
    if (code === 0x2f) count++;
  }
  return count;
}
