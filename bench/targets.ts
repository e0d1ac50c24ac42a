/** Where the project wants to be, per runtime, and whether a figure is there. */
import type { RuntimeName } from "../test/matrix/harness/node-process.ts";
import { ratio, table } from "./table.ts";

export type TargetName =
  | "putRate"
  | "getRate"
  | "putP99"
  | "getP99"
  | "putAlone"
  | "putHono"
  | "batch"
  | "overload"
  | "failover"
  | "snapshot"
  | "memoryEtcd"
  | "memoryPayload"
  | "restart"
  | "disk";

interface Target {
  readonly what: string;
  readonly is: "≥" | "≤";
  readonly of: Readonly<Record<RuntimeName, number>>;
}

const same = (value: number): Target["of"] => ({ bun: value, deno: value, node: value });

/** Requests under way where throughput and p99 are judged. */
export const JUDGED_OUTSTANDING: number = 256;

const targets: Readonly<Record<TargetName, Target>> = {
  putRate: {
    what: `PUT/s at ${JUDGED_OUTSTANDING} outstanding ÷ etcd's`,
    is: "≥",
    of: { bun: 2.5, deno: 2, node: 1.2 },
  },
  getRate: {
    what: `linearizable GET/s at ${JUDGED_OUTSTANDING} outstanding ÷ etcd's`,
    is: "≥",
    of: { bun: 6, deno: 5, node: 3 },
  },
  putP99: { what: "p99 of PUT ÷ etcd's", is: "≤", of: same(1) },
  getP99: { what: "p99 of GET ÷ etcd's", is: "≤", of: same(1) },
  putAlone: {
    what: "PUT latency (mean), 1 client ÷ etcd's",
    is: "≤",
    of: { bun: 1, deno: 1.2, node: 1.5 },
  },
  putHono: {
    what: "PUT/s ÷ bare Hono's on the same runtime",
    is: "≥",
    of: { bun: 0.4, deno: 0.4, node: 0.5 },
  },
  batch: {
    what: "operations/s through /v1/batch ÷ etcd's PUT/s",
    is: "≥",
    of: { bun: 10, deno: 10, node: 6 },
  },
  overload: { what: "PUT/s under twice the load ÷ at its best", is: "≥", of: same(0.9) },
  failover: {
    what: "longest write gap after kill -9 of the leader ÷ etcd's",
    is: "≤",
    of: same(0.5),
  },
  snapshot: { what: "p99 while a snapshot is taken ÷ without", is: "≤", of: same(2) },
  memoryEtcd: { what: "memory for the keys ÷ etcd's", is: "≤", of: same(1) },
  memoryPayload: { what: "memory for the keys ÷ payload", is: "≤", of: same(2.5) },
  restart: {
    what: "restart ÷ reading the files at half the disk's speed",
    is: "≤",
    of: same(1),
  },
  disk: { what: "bytes written per PUT ÷ (key + value + 64)", is: "≤", of: same(1.3) },
};

/** One figure against its target. */
export interface Verdict {
  readonly target: TargetName;
  readonly runtime: RuntimeName;
  readonly what: string;
  readonly value: number;
  readonly wanted: string;
  readonly met: boolean;
}

export function judge(target: TargetName, runtime: RuntimeName, value: number): Verdict {
  const { what, is, of } = targets[target];
  const met = is === "≥" ? value >= of[runtime] : value <= of[runtime];
  return { target, runtime, what, value, wanted: `${is} ${of[runtime]}`, met };
}

/** `2.61 (≥ 2.5, met)` */
export function verdictCell({ value, wanted, met }: Verdict): string {
  return `${ratio(value)} (${wanted}, ${met ? "met" : "not met"})`;
}

/** All verdicts in one table: a line a target, a column a runtime. */
export function verdictTable(verdicts: readonly Verdict[]): string {
  const runtimes = [...new Set(verdicts.map(({ runtime }) => runtime))];
  const names = [...new Set(verdicts.map(({ target }) => target))];
  const rows = names.map((name) => [
    targets[name].what,
    ...runtimes.map((runtime) => {
      const verdict = verdicts.find((one) => one.target === name && one.runtime === runtime);
      return verdict === undefined ? "" : verdictCell(verdict);
    }),
  ]);
  return table(["target", ...runtimes], rows);
}
