/** The process: what it runs, what it costs, and what of its log was lost. */
import { collectDefaultMetrics, Registry } from "prom-client";
import type { Figures } from "./figures.ts";
import type { MetricsSource } from "./source.ts";

/** What a node is. */
export interface NodeBuild {
  readonly id: string;
  /** This software's. */
  readonly version: string;
  /** E.g. `bun 1.4.5`. */
  readonly runtime: string;
  /** How many lines the log has thrown away so far. */
  readonly logDropped?: (() => number) | undefined;
}

/** Bun walks the whole heap for these: with three million objects a scrape stood still for more than a second. */
const costly = ["total", "used", "available"].map((size) => `nodejs_heap_space_size_${size}_bytes`);

/** The process's own, which all of its nodes show: what observes the event loop and the garbage collector lasts for ever. */
let ofProcess: Registry | null = null;

function processRegistry(): Registry {
  if (ofProcess !== null) return ofProcess;
  ofProcess = new Registry();
  collectDefaultMetrics({ register: ofProcess });
  for (const name of costly) ofProcess.removeSingleMetric(name);
  return ofProcess;
}

export class ProcessMetrics {
  readonly #process = processRegistry();

  constructor(
    figures: Figures<MetricsSource>,
    { id, version, runtime, logDropped = () => 0 }: NodeBuild,
  ) {
    figures.gauges(
      "holdfast_build_info",
      "1, with the node's id, this software's version, and the runtime it runs on.",
      ["id", "version", "runtime"],
      () => [[[id, version, runtime], 1]],
    );
    figures.total(
      "holdfast_log_dropped_lines_total",
      "Lines of the log that were thrown away: whoever reads them is too slow, or gone.",
      logDropped,
    );
  }

  text(): Promise<string> {
    return this.#process.metrics();
  }
}
