/** What every row of the bench is handed, and what it hands back. */
import type { RuntimeName } from "../test/matrix/harness/node-process.ts";
import { Etcd } from "./etcd.ts";
import type { H2load } from "./h2load.ts";
import { Holdfast } from "./holdfast.ts";
import type { Options } from "./options.ts";
import type { Verdict } from "./targets.ts";
import type { Driver } from "./bulk.ts";

/** One table, for people and for machines. */
export interface Section {
  readonly title: string;
  readonly heads: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** A sentence each, below the table. */
  readonly notes: readonly string[];
  readonly data: readonly unknown[];
  readonly verdicts: readonly Verdict[];
}

export interface Bench {
  readonly options: Options;
  readonly drive: Driver;
  /** Whether etcd is wanted and there. */
  readonly etcd: boolean;
  readonly h2load: H2load | null;
  /** One line on standard error. */
  readonly progress: (text: string) => void;
  /** Runs a part; where it fails that is told and remembered, and the rest goes on. */
  readonly attempt: <T>(what: string, part: () => Promise<T>) => Promise<T | null>;
}

/** Nodes where the number of nodes is not what is looked at. */
export const NODES = 3;

export async function startEtcd({ h2load, options }: Bench, nodes: number): Promise<Etcd> {
  return await Etcd.start({ nodes, h2load, streams: options.streams });
}

export async function startHoldfast(
  { drive }: Bench,
  runtime: RuntimeName,
  nodes: number,
): Promise<Holdfast> {
  return await Holdfast.start(runtime, drive, nodes);
}
