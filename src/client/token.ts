/** Who a client is: a token that goes with each request. */
import type { ClientFetch } from "./attempt.ts";
import type { ConnectOptions } from "./options.ts";

/** The client's `fetch`, which says with each request who asks. @throws {TypeError} where a token is none. */
export function fetchWith(
  { fetch: given, token }: Pick<ConnectOptions, "fetch" | "token">,
): ClientFetch {
  const send: ClientFetch = given ?? ((url, init) => fetch(url, init));
  if (token === undefined) return send;
  const read = typeof token === "string" ? () => token : token;
  // Said now and not with each request, where it would read as a connection that broke.
  if (typeof token === "string") checkToken(token);
  return (url, init) => {
    const headers = new Headers(init.headers);
    headers.set("authorization", `Bearer ${checkToken(read())}`);
    return send(url, { ...init, headers });
  };
}

/** RFC 6750, section 2.1. */
function checkToken(token: string): string {
  if (/^[A-Za-z0-9\-._~+/]+=*$/.test(token)) return token;
  throw new TypeError("a token is of A-Z a-z 0-9 - . _ ~ + /");
}
