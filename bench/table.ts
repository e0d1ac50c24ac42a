/** The bench's one table: medians with their spread, and ratios of medians. */
import type { Measured } from "./workload.ts";

export interface Row {
  readonly runtime: string;
  readonly method: string;
  readonly outstanding: number;
  readonly holdfast: readonly Measured[];
  readonly hono: readonly Measured[];
}

const heads = [
  "runtime",
  "request",
  "outstanding",
  "Holdfast/s (min–max)",
  "p50 ms",
  "p99 ms",
  "failed",
  "bare Hono/s (min–max)",
  "p99 ms",
  "ratio",
];

/** A table in Markdown, aligned for reading as it is. */
export function table(rows: readonly Row[]): string {
  const cells = rows.map(({ runtime, method, outstanding, holdfast, hono }) => {
    const rate = median(holdfast.map(({ perSecond }) => perSecond));
    const bareRate = median(hono.map(({ perSecond }) => perSecond));
    return [
      runtime,
      method,
      String(outstanding),
      spread(holdfast),
      milliseconds(median(holdfast.map(({ p50 }) => p50))),
      milliseconds(median(holdfast.map(({ p99 }) => p99))),
      String(holdfast.reduce((sum, { failed }) => sum + failed, 0)),
      spread(hono),
      milliseconds(median(hono.map(({ p99 }) => p99))),
      (rate / bareRate).toFixed(2),
    ];
  });
  const widths = heads.map((head, column) =>
    Math.max(head.length, ...cells.map((row) => row[column]?.length ?? 0))
  );
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padStart(widths[column] ?? 0)).join(" | ")} |`;
  const rule = `|${widths.map((width) => `${"-".repeat(width + 1)}:`).join("|")}|`;
  return [line(heads), rule, ...cells.map(line)].join("\n");
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = NaN, high = NaN] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]];
  return (low + high) / 2;
}

function spread(samples: readonly Measured[]): string {
  const rates = samples.map(({ perSecond }) => perSecond);
  const [least, most] = [Math.min(...rates), Math.max(...rates)];
  return `${count(median(rates))} (${count(least)}–${count(most)})`;
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

function milliseconds(value: number): string {
  return value.toFixed(value < 10 ? 2 : 1);
}
