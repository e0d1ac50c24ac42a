/** What stands between clients and a replica: the HTTP app's part, without HTTP. */
import { crc32 } from "node:zlib";
import { NotApplied, OutcomeUnknown } from "../../src/errors.ts";
import type { Key } from "../../src/kv/key.ts";
import type { KvMachine } from "../../src/kv/machine.ts";
import type { Item } from "../../src/kv/record.ts";
import type { KvResult } from "../../src/kv/result.ts";
import type { Replica } from "../../src/replica.ts";
import {
  commandBytes,
  type Request,
  type Response,
  type SeenItem,
  writtenBy,
} from "./operation.ts";
import { plainText } from "./result-text.ts";

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
      const { result, index } = await replica.propose(commandBytes(request.command), timeoutMs);
      return { type: "written", result, index };
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
  const { revision: wanted } = request;
  const state = wanted === null ? store : store.at(wanted);
  if (state === null) return { type: "compacted", floor: store.floor, revision: store.revision };
  const items: SeenItem[] = [];
  if (request.type === "get") {
    const item = state.get(request.key);
    if (item !== undefined) items.push(seen(request.key, item));
  } else {
    for (const [key, item] of state.list({ start: request.start, end: request.end })) {
      if (items.push(seen(key, item)) >= request.limit) break;
    }
  }
  const follows = replica.status().role !== "leader";
  return { type: "read", revision: state.revision, items, stalenessMs, at: now(), follows };
}

/** As a client compares it. */
export function seen(
  key: Key,
  { revision, version, contentType, metadata, lease, value }: Omit<Item, "created" | "due">,
): SeenItem {
  return {
    key,
    revision,
    version,
    crc: crc32(value),
    contentType,
    metadata: metadata === null ? null : plainText(metadata),
    lease,
    value: writtenBy(value),
  };
}
