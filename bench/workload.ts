/** What is measured: keys and values that say whose they are, one {@link Work}, and what came of it. */

/** Bytes of a key; all have the same length. */
export const KEY_BYTES = 16;
/** The least that a value can say whose it is in. */
export const VALUE_BYTES_MIN = 16;

const DIGITS = 12;

/** One measurement of one store. */
export interface Work {
  readonly method: "GET" | "PUT";
  /** Requests under way at a time. */
  readonly outstanding: number;
  readonly seconds: number;
  /** Keys 0 to here, which are there already. */
  readonly keys: number;
  readonly valueBytes: number;
  /** What the values of this run begin with, so that reading back tells runs apart. */
  readonly stamp: string;
}

/** What one run gave. Latencies are milliseconds. */
export interface Measured {
  readonly perSecond: number;
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  readonly succeeded: number;
  /** Answers that were errors, and broken connections. */
  readonly failed: number;
}

export const keyOf = (n: number): string => `key-${String(n).padStart(DIGITS, "0")}`;

/** The value that a run puts under key `n`. */
export const valueOf = (n: number, stamp: string, bytes: number): string =>
  `${stamp}:${n}:`.padEnd(bytes, "holdfast ").slice(0, bytes);

let runs = 0;

/** A stamp that no run had before. */
export const nextStamp = (): string => `w${++runs}`;

/** The value at `fraction` of ascending `values`; NaN where there are none. */
export function quantile(values: ArrayLike<number>, fraction: number): number {
  return values[Math.min(values.length - 1, Math.floor(values.length * fraction))] ?? NaN;
}

/** NaN where there are none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = NaN, high = NaN] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]];
  return (low + high) / 2;
}
