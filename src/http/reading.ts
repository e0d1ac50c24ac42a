/** `?consistency=`, `?max_stale=` and `?revision=`: when a read may be served, and from what. */
import { TooStale } from "../errors.ts";
import type { Store } from "../kv/store.ts";
import type { Need } from "../kv/access/principal.ts";
import type { Exchange, Host } from "./exchange.ts";
import { badRequest, Refusal } from "./problem.ts";
import type { Query } from "./target.ts";
import { stalenessHeader } from "./wire.ts";

/** The parameters that {@link confirmRead} reads. */
export const confirmNames: ReadonlySet<string> = new Set(["consistency", "max_stale"]);
/** The parameters that {@link look} reads. */
export const readNames: ReadonlySet<string> = new Set([...confirmNames, "revision"]);

/** The store, now or at a past revision: until the next command is applied. */
export type Sight = Pick<Store, "revision" | "get" | "list">;

/** What whoever reads needs; asked again once the state may have changed. */
export type Needs = () => readonly Need[];

/** What a read is answered from, and the headers that the answer then carries. */
export interface Look {
  /**
   * To be called where the answer is made, with nothing awaited from there on: commands are applied in between.
   * @throws {TooStale}
   * @throws {Refusal} 400 for a revision that the store has not reached, 410 for one that history no longer reaches.
   */
  readonly see: () => Sight;
  readonly headers: Readonly<Record<string, string>>;
}

const levels = ["linearizable", "lease", "stale"] as const;
const none: Readonly<Record<string, string>> = {};

/**
 * Resolves when the store may be read, as it is, or as it was at the revision that `?revision=` or `pinned` names.
 * @throws {NotApplied} {TooStale} {Refusal} as {@link confirmRead}
 */
export async function look(
  exchange: Exchange,
  query: Query,
  needs: Needs,
  pinned: number | null = null,
): Promise<Look> {
  const { machine, gate } = exchange.host;
  const asked = query.whole("revision", { min: 0, max: Number.MAX_SAFE_INTEGER });
  if (asked !== null && pinned !== null && asked !== pinned) {
    throw badRequest("query: cursor is of a listing at another revision");
  }
  const revision = asked ?? pinned;
  if (revision === null) {
    const headers = await confirmRead(exchange, query, needs);
    return { see: () => machine.store, headers };
  }
  const isStale = query.choice("consistency", levels, "linearizable") === "stale";
  // What was at a revision that this node has is the same for ever: no leader has to confirm it, but that whoever asks
  // still may.
  const hasIt = !isStale && !gate.isClosed && machine.store.revision >= revision;
  const headers = hasIt ? none : await confirmRead(exchange, query, needs);
  return { see: () => sightAt(exchange.host, revision, isStale), headers };
}

function sightAt({ machine: { store } }: Host, revision: number, isStale: boolean): Sight {
  if (revision === store.revision) return store;
  if (revision > store.revision) {
    if (isStale) throw new TooStale(`this node's state is at revision ${store.revision} only`);
    throw badRequest(`query: revision ${revision} is ahead of the store, at ${store.revision}`);
  }
  const view = store.at(revision);
  if (view !== null) return view;
  const oldest = store.floor;
  throw new Refusal("compacted", `history goes back to revision ${oldest}`, {
    members: { oldest },
  });
}

/**
 * Resolves when the machine may be read, in the same turn, by whoever asks, with the headers that the answer then carries.
 * @throws {NotApplied} where a leader did not confirm the read in time.
 * @throws {TooStale} where this node can't keep `max_stale`.
 * @throws {Refusal} 400, 401, 403
 */
export async function confirmRead(
  exchange: Exchange,
  query: Query,
  needs: Needs,
): Promise<Readonly<Record<string, string>>> {
  const { host } = exchange;
  const consistency = query.choice("consistency", levels, "linearizable");
  const maxStaleMs = query.duration("max_stale");
  if (exchange.caller.type === "bearer") await exchange.may(needs);
  if (consistency !== "stale") {
    const level = host.leaseReads ? "lease" : consistency;
    await confirm(exchange, level);
    // A right that was taken away before is not there on the state that is read now.
    if (host.gate.isClosed) await exchange.recheck(needs);
    return none;
  }
  const stalenessMs = host.replica.stalenessMs();
  if (maxStaleMs !== null && (stalenessMs === null || stalenessMs > maxStaleMs)) {
    const known = stalenessMs === null ? "of unknown age" : `up to ${stalenessMs} ms old`;
    throw new TooStale(`this node's state is ${known}`);
  }
  return stalenessMs === null ? none : { [stalenessHeader]: String(stalenessMs) };
}

/** Resolves once a leader's word is here that this node is not behind. @throws {NotApplied} */
export async function confirm(
  { host, span, timeoutMs }: Exchange,
  level: "linearizable" | "lease",
): Promise<void> {
  const reading = span?.child("read") ?? null;
  let error: string | null = "no_leader";
  try {
    await host.admission.through(host.replica.read(level, timeoutMs));
    error = null;
  } finally {
    reading?.end(error);
  }
}
