/** Tables in Markdown, aligned for reading as they are, and the figures in them. */
import { median } from "./workload.ts";

export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = heads.map((head, column) =>
    Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0))
  );
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padStart(widths[column] ?? 0)).join(" | ")} |`;
  const rule = `|${widths.map((width) => `${"-".repeat(width + 1)}:`).join("|")}|`;
  return [line(heads), rule, ...rows.map(line)].join("\n");
}

/** Where there is no figure. */
export const NONE = "–";

export function count(value: number): string {
  return Number.isFinite(value) ? Math.round(value).toLocaleString("en-US") : NONE;
}

export function milliseconds(value: number): string {
  return Number.isFinite(value) ? value.toFixed(value < 10 ? 2 : value < 1000 ? 1 : 0) : NONE;
}

export function mebibytes(bytes: number): string {
  return Number.isFinite(bytes) ? (bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0) : NONE;
}

export function ratio(value: number): string {
  return Number.isFinite(value) ? value.toFixed(2) : NONE;
}

/** Median (min–max). */
export function spread(values: readonly number[], show: (value: number) => string): string {
  if (values.length === 0) return NONE;
  if (values.length === 1) return show(median(values));
  return `${show(median(values))} (${show(Math.min(...values))}–${show(Math.max(...values))})`;
}
