/** Reads a request's body: bounded while it arrives, in size, in time, and together with all others. */
import * as v from "valibot";
import { type CborLimits, decodeCbor } from "../cbor.ts";
import { MalformedBytes } from "../errors.ts";
import type { Exchange, Host } from "./exchange.ts";
import { badRequest, Refusal, tooLarge } from "./problem.ts";
import { type Reader, readStream } from "./stream.ts";
import { textOf } from "./text.ts";
import { cborType } from "./wire.ts";

/**
 * All of the body. Nothing of it is kept where this throws.
 * @throws {Refusal} 413 over `bytesMax`, said or found; 408 too slow; 429 too many at a time; 400 broken off.
 */
export async function readBody({ host, request }: Exchange, bytesMax: number): Promise<Uint8Array> {
  const said = saidLength(request.headers.get("content-length"));
  if (said !== null && said > bytesMax) {
    if (said <= host.limits.drainBytesMax) await drain(host, request.body?.getReader());
    throw tooLarge("the body", bytesMax);
  }
  const reader = said === null ? request.body?.getReader() : undefined;
  if (said === 0 || (said === null && reader === undefined)) return new Uint8Array();
  const share = said ?? bytesMax;
  if (host.arrivingBytes + share > host.limits.arrivingBytesMax) {
    throw new Refusal("overloaded", "too many bytes are arriving at a time", {
      bound: "arriving_bytes",
    });
  }
  host.arrivingBytes += share;
  try {
    const bytes = reader === undefined
      ? new Uint8Array(await inTime(host, request.arrayBuffer()))
      : await inTime(host, readStream(reader, bytesMax));
    if (bytes === "too_large") {
      await drain(host, reader);
      throw tooLarge("the body", bytesMax);
    }
    host.requests.received.add(bytes.length);
    if (said !== null && bytes.length !== said) throw badRequest("the body is not as long as said");
    return bytes;
  } finally {
    host.arrivingBytes -= share;
  }
}

function saidLength(header: string | null): number | null {
  if (header === null) return null;
  if (!/^\d+$/.test(header)) throw badRequest("Content-Length is not a number");
  return Number(header);
}

/** @throws {Refusal} 408 where `reading` takes too long, 400 where the body breaks off. */
async function inTime<T>({ arrivals, limits }: Host, reading: Promise<T>): Promise<T> {
  let bytes: T | "late";
  try {
    bytes = await arrivals.within(reading, "late" as const);
  } catch {
    throw badRequest("the body broke off");
  }
  if (bytes !== "late") return bytes;
  throw new Refusal("request_timeout", `the body took more than ${limits.bodyTimeoutMs} ms`);
}

/** Throws away what still comes, within bounds. What is left then is the server's: cancelling would cut the answer off. */
async function drain({ limits }: Host, reader: Reader | undefined): Promise<void> {
  if (reader === undefined) return;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, limits.drainTimeoutMs, null);
  });
  let left = limits.drainBytesMax;
  try {
    while (left > 0) {
      const read = await Promise.race([reader.read(), late]);
      if (read === null || read.done) return;
      left -= read.value.length;
    }
  } catch {
    // It broke off: there is nothing more to throw away.
  } finally {
    clearTimeout(timer);
  }
}

/**
 * A document of a shape: JSON, or CBOR where `Content-Type` says so. Its byte strings are views into the body.
 * @throws {Refusal} 400 where it is none, or of another shape; as {@link readBody} else.
 */
export async function readDocument<T>(
  exchange: Exchange,
  schema: v.GenericSchema<unknown, T>,
  bytesMax: number = exchange.host.limits.documentBytesMax,
): Promise<T> {
  const bytes = await readBody(exchange, bytesMax);
  const type = exchange.request.headers.get("content-type") ?? "";
  const isCbor = type.split(";")[0]?.trim().toLowerCase() === cborType;
  const input = isCbor ? fromCbor(bytes, bytesMax) : fromJson(bytes);
  if (Array.isArray(input)) throw badRequest("body: the whole: takes an object");
  // Only the first issue is told, and there may be millions.
  const parsed = v.safeParse(schema, input, { abortEarly: true, abortPipeEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw badRequest(`body: ${placeOf(issue)}: ${issue.message}`);
}

/** Where in a document an issue is: `then[3].put.key`. */
function placeOf({ path }: v.BaseIssue<unknown>): string {
  const steps = (path ?? []).map(({ key }) =>
    typeof key === "number" ? `[${key}]` : `.${String(key)}`
  );
  return steps.join("").replace(/^\./, "").slice(0, placeCharactersMax) || "the whole";
}

/** Members are named as they came: they may be long. */
const placeCharactersMax = 256;

function fromJson(bytes: Uint8Array): unknown {
  const text = textOf(bytes);
  if (text === null) throw badRequest("body: not UTF-8");
  try {
    return JSON.parse(text);
  } catch {
    throw badRequest("body: not JSON");
  }
}

function fromCbor(bytes: Uint8Array, bytesMax: number): unknown {
  const limits: CborLimits = {
    totalBytesMax: bytesMax,
    depthMax: 8,
    // An item of a list of operations comes with more bytes than this, keys and names of members counted.
    itemsMax: bytesMax / 16,
    textBytesMax: bytesMax,
    byteStringBytesMax: bytesMax,
  };
  try {
    return decodeCbor(bytes, limits);
  } catch (error) {
    if (error instanceof MalformedBytes) throw badRequest(`body: not CBOR: ${error.message}`);
    throw error;
  }
}
