/** The bodies of what peers post: read in one piece where their length is announced, and never beyond their bound. */
import type { Arrivals } from "./arrivals.ts";
import { readStream } from "./stream.ts";
import type { ProblemCode } from "./wire.ts";

/** Why there is no body, as a refusal. */
export interface BodyFlaw {
  readonly status: 400 | 408 | 413;
  readonly code: ProblemCode;
  readonly detail: string;
}

/** What is posted, in words, and its bytes at most. */
export interface BodyBounds {
  readonly what: string;
  readonly bytesMax: number;
}

type Reading = Promise<Uint8Array<ArrayBuffer> | "too_large" | "broken">;

const timedOut: BodyFlaw = {
  status: 408,
  code: "request_timeout",
  detail: "the body took too long to arrive",
};
const broken: BodyFlaw = { status: 400, code: "bad_request", detail: "the body broke off" };

/** Reads a body. */
export async function readPeerBody(
  request: Request,
  { what, bytesMax }: BodyBounds,
  arrivals: Arrivals,
): Promise<Uint8Array<ArrayBuffer> | BodyFlaw> {
  const length = request.headers.get("content-length");
  // A server hands on no more than the length announced, so one call may read it all.
  const body = length === null
    ? await arrivals.within(readUnsaid(request, bytesMax), timedOut)
    : Number(length) <= bytesMax
    ? await arrivals.within(readWhole(request, bytesMax), timedOut)
    : "too_large";
  if (body === "broken") return broken;
  if (body !== "too_large") return body;
  const detail = `a ${what} has at most ${bytesMax} bytes`;
  return { status: 413, code: "too_large", detail };
}

async function readWhole(request: Request, bytesMax: number): Reading {
  try {
    const body = new Uint8Array(await request.arrayBuffer());
    return body.length > bytesMax ? "too_large" : body;
  } catch {
    return "broken";
  }
}

async function readUnsaid(request: Request, bytesMax: number): Reading {
  const reader = request.body?.getReader();
  if (reader === undefined) return new Uint8Array();
  try {
    const body = await readStream(reader, bytesMax);
    if (body === "too_large") await reader.cancel();
    return body;
  } catch {
    return "broken";
  }
}
