/** What stands between clients and a replica: the HTTP app's part, without HTTP. */
import { crc32 } from "node:zlib";
import { NotApplied, OutcomeUnknown } from "../../src/errors.ts";
import type { KvMachine } from "../../src/kv/machine.ts";
import type { KvResult } from "../../src/kv/result.ts";
import type { Replica } from "../../src/replica.ts";
import { commandBytes, type Request, type Response, writerOf } from "./operation.ts";

export interface Server {
  readonly replica: Replica<KvResult>;
  readonly machine: KvMachine;
  readonly leaseReads: boolean;
  readonly timeoutMs: number;
  /** Microseconds. */
  readonly now: () => number;
  /** Something else than the replica's contract allows. */
  readonly onSurprise: (error: unknown) => void;
}

export async function serve(server: Server, request: Request): Promise<Response> {
  const { replica, timeoutMs } = server;
  try {
    if (request.type === "write") {
      const { result } = await replica.propose(commandBytes(request.command), timeoutMs);
      return { type: "written", result };
    }
    if (request.consistency === "stale") return read(server, request, replica.stalenessMs());
    await replica.read(server.leaseReads ? "lease" : request.consistency, timeoutMs);
    return read(server, request, null);
  } catch (error) {
    if (error instanceof NotApplied) return { type: "notApplied", reason: error.reason };
    if (!(error instanceof OutcomeUnknown)) server.onSurprise(error);
    return { type: "unknown" };
  }
}

function read(
  { machine: { store }, replica, now }: Server,
  request: Exclude<Request, { type: "write" }>,
  stalenessMs: number | null,
): Response {
  const found = request.type === "get"
    ? [[request.key, store.get(request.key)] as const]
    : store.list({ start: request.start, end: request.end });
  const items = [];
  for (const [key, item] of found) {
    if (item === undefined) continue;
    const { revision, contentType, value } = item;
    items.push({ key, revision, crc: crc32(value), contentType, value: writerOf(value) });
  }
  const follows = replica.status().role !== "leader";
  return { type: "read", revision: store.revision, items, stalenessMs, at: now(), follows };
}
