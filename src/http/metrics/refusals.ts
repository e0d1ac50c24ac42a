/** What was refused as overloaded, by the bound that it met. */
import { type Bound, bounds } from "../problem.ts";
import type { Count, Figures } from "./figures.ts";
import type { MetricsSource } from "./source.ts";

export class RefusalMetrics {
  readonly #refused: ReadonlyMap<Bound, Count>;

  constructor(figures: Figures<MetricsSource>) {
    const series = figures.counters(
      "holdfast_http_overloaded_total",
      "Requests that were refused as overloaded (429), by the bound that they met.",
      ["bound"],
    );
    this.#refused = new Map(bounds.map((bound) => [bound, series.of(bound)]));
  }

  refused(bound: Bound): void {
    this.#refused.get(bound)?.add();
  }
}
