/**
 * A request's target, read as bytes: what follows `/v1/kv/` is a key, whatever its bytes, so neither the path nor the
 * query may pass through anything that takes percent-encoded text for UTF-8.
 *
 * Segments `.` and `..` (and `%2e`) are part of a key here. Clients that build a URL as browsers do, `fetch` among
 * them, resolve such segments before they send anything. Deno's server, and Node's (whose adapter hands in the raw
 * target), deliver them as they were sent; Bun's resolves them on arrival, and `runtimes/bun.ts` hands in the target
 * that it has put together again.
 */
import type { Key } from "../kv/key.ts";
import { durationMs } from "./duration.ts";
import { badRequest, tooLarge } from "./problem.ts";

/** What `@hono/node-server` hands to an app beside the request; other runtimes hand in something else or nothing. */
export interface Bindings {
  readonly incoming?: { readonly url?: string | undefined };
  /** See `fromInside`: servers leave it out. */
  readonly origin?: symbol | undefined;
}

/** Path and query as they came: from `/` on, without a fragment. */
export function targetOf(url: string, bindings: Bindings | undefined): string {
  const raw = bindings?.incoming?.url;
  let target = raw !== undefined && raw.charCodeAt(0) === 0x2f ? raw : null;
  // Without a host (HTTP/1.0 need not name one) Bun gives the target alone.
  if (target === null && url.charCodeAt(0) === 0x2f) target = url;
  if (target === null) {
    const start = url.indexOf("/", url.indexOf("://") + 3);
    target = start === -1 ? "/" : url.slice(start);
  }
  const fragment = target.indexOf("#");
  return fragment === -1 ? target : target.slice(0, fragment);
}

/** The path in a target. */
export function pathOf(target: string): string {
  const query = target.indexOf("?");
  return query === -1 ? target : target.slice(0, query);
}

/** What may be told of a target where others read: no key, no id, no query. */
export function shownTarget(target: string): string {
  const segments = pathOf(target).split("/");
  return segments.slice(0, 3).join("/") + (segments.length > 3 ? "/…" : "");
}

/**
 * The bytes that `text` spells, as a binary string.
 * @param where what `text` is, for the error.
 * @throws {Refusal} 400 where a `%` is not followed by two hexadecimal digits, or a character is not ASCII.
 */
export function percentDecode(text: string, where: string): Key {
  if (!/[^\x21-\x7e]/.test(text)) {
    if (!text.includes("%")) return text;
  } else {
    throw badRequest(`${where}: a character that has to be percent-encoded`);
  }
  let decoded = "";
  let from = 0;
  for (let at = text.indexOf("%"); at !== -1; at = text.indexOf("%", from)) {
    const digits = text.slice(at + 1, at + 3);
    if (!/^[0-9A-Fa-f]{2}$/.test(digits)) {
      throw badRequest(`${where}: "%${digits}" at character ${at} is not percent-encoding`);
    }
    decoded += text.slice(from, at) + String.fromCharCode(Number.parseInt(digits, 16));
    from = at + 3;
  }
  return decoded + text.slice(from);
}

/** The named parameters of a query, each at most once; others are passed over. */
export class Query {
  readonly #values = new Map<string, Key>();

  /**
   * Reads `target`'s query as HTML forms write it, `+` for a space, into bytes.
   * @throws {Refusal} 400 where one of `names` comes twice or is not percent-encoded; 413 where it is too long.
   */
  constructor(target: string, names: ReadonlySet<string>, bytesMax: number) {
    const start = target.indexOf("?");
    if (start === -1) return;
    if (target.length - start > bytesMax) throw tooLarge("the query", bytesMax);
    for (const pair of target.slice(start + 1).split("&")) {
      const equals = pair.indexOf("=");
      const name = equals === -1 ? pair : pair.slice(0, equals);
      if (!names.has(name)) continue;
      if (this.#values.has(name)) throw badRequest(`query: ${name} comes twice`);
      const value = equals === -1 ? "" : pair.slice(equals + 1);
      this.#values.set(name, percentDecode(value.replaceAll("+", "%20"), `query: ${name}`));
    }
  }

  /** The parameter's bytes, or null where it does not come. */
  get(name: string): Key | null {
    return this.#values.get(name) ?? null;
  }

  /** @throws {Refusal} 400 where the parameter is not one of `choices`. */
  choice<Choice extends string>(name: string, choices: readonly Choice[], preset: Choice): Choice {
    const value = this.get(name);
    if (value === null) return preset;
    const found = choices.find((choice) => choice === value);
    if (found === undefined) throw badRequest(`query: ${name} takes ${choices.join(" or ")}`);
    return found;
  }

  /** @throws {Refusal} 400 where the parameter is not a whole number from `min` to `max`. */
  whole(name: string, range: { readonly min: number; readonly max: number }): number | null {
    const value = this.get(name);
    if (value === null) return null;
    const number = /^\d{1,16}$/.test(value) ? Number(value) : NaN;
    if (number >= range.min && number <= range.max) return number;
    throw badRequest(`query: ${name} takes a whole number from ${range.min} to ${range.max}`);
  }

  /** Milliseconds. @throws {Refusal} 400 where the parameter is not a duration like `500ms`. */
  duration(name: string): number | null {
    const value = this.get(name);
    if (value === null) return null;
    const ms = durationMs(value);
    if (ms === null) throw badRequest(`query: ${name} takes a duration, like 500ms or 2s`);
    return ms;
  }
}
