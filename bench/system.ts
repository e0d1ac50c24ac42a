/** What the rows of the bench ask of a store, whichever it is. */
import type { Measured, Work } from "./workload.ts";
import type { Readable, Written } from "./written.ts";

/** A store under test, running. */
export interface System extends AsyncDisposable, Readable {
  /** Such as `etcd` or `bun`. */
  readonly label: string;
  /** What was written to it so far. */
  readonly written: Written;
  /** Of its processes. */
  pids(): readonly number[];
  /** Measures, and remembers what was put. */
  measure(work: Work): Promise<Measured>;
  /** Puts every key from `from` to `keys` once; resolves when all are acknowledged. */
  fill(space: KeySpace): Promise<void>;
}

export interface KeySpace {
  readonly from?: number;
  readonly keys: number;
  readonly valueBytes: number;
}

/** A store of several nodes, each a process of its own. */
export interface Replicated extends System {
  readonly ids: readonly string[];
  leader(): Promise<string>;
  pidOf(id: string): number;
  dataOf(id: string): string;
  /** SIGKILL; resolves when the process is gone. */
  kill(id: string): Promise<void>;
  /** Starts it again; resolves when it serves as a member. */
  start(id: string, flags?: readonly string[]): Promise<void>;
  /** One put through one node; resolves with whether it was acknowledged. */
  put(id: string, key: string, value: string, timeoutMs: number): Promise<boolean>;
}

const open = new Set<AsyncDisposable>();

/** Ends whatever is still running, for when the bench is interrupted. */
export async function endAll(): Promise<void> {
  await Promise.allSettled([...open].map((one) => one[Symbol.asyncDispose]()));
}

/** Makes sure that an interrupted bench ends it. */
export function remember(one: AsyncDisposable): void {
  open.add(one);
}

export function forget(one: AsyncDisposable): void {
  open.delete(one);
}
