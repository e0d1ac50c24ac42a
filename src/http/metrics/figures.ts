/**
 * Figures for Prometheus: counted where something happens by adding to a number, put into text when somebody scrapes.
 * A series is looked up once, by who counts on it, and kept: prom-client looks the labels' text up with each call, which
 * took five to fourteen times as long, several times in each request.
 *
 * ```
 * figures.counter("holdfast_x_total", "What it counts.").add();
 * const puts = figures.counters("holdfast_y_total", "By kind.", ["kind"]).of("put"); // then puts.add()
 * figures.gauge("holdfast_z", "Read at each scrape.", () => z);
 * ```
 */
import { invariant } from "../../assert.ts";

/** Series of one family, at the most: what exceeds them is counted together, under labels that all say `other`. */
export const seriesMax = 512;

const nameForm = /^[a-z][a-z0-9_]*$/;

/** It only goes up. */
export class Count {
  value = 0;

  add(by: number = 1): void {
    this.value += by;
  }
}

/** How often an observation was at most each of some bounds. */
export class Distribution {
  readonly #bounds: readonly number[];
  /** How many were within each bound and not within the one before; behind them those beyond the last. */
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let at = 0;
    while (at < bounds.length && value > bounds[at]!) at++;
    this.#counts[at]!++;
    this.#sum += value;
  }

  /** The lines of this series. */
  *lines(name: string, labels: string): Generator<string> {
    const open = labels === "" ? "{" : `{${labels},`;
    let count = 0;
    for (const [at, bound] of this.#bounds.entries()) {
      count += this.#counts[at]!;
      yield `${name}_bucket${open}le="${bound}"} ${count}`;
    }
    count += this.#counts[this.#bounds.length]!;
    yield `${name}_bucket${open}le="+Inf"} ${count}`;
    const rest = labels === "" ? "" : `{${labels}}`;
    yield `${name}_sum${rest} ${numberText(this.#sum)}`;
    yield `${name}_count${rest} ${count}`;
  }
}

/** The series of one family, by the values of its labels. */
export class SeriesOf<Series> {
  readonly #labels: readonly string[];
  readonly #make: () => Series;
  readonly #series = new Map<string, Series>();

  constructor(labels: readonly string[], make: () => Series) {
    this.#labels = labels;
    this.#make = make;
  }

  /** The series of these values, in the order of the labels' names: to be kept by who counts often. */
  of(...values: readonly string[]): Series {
    const labels = labelsText(this.#labels, values);
    const known = this.#series.get(labels);
    if (known !== undefined) return known;
    if (this.#series.size >= seriesMax && values.some((value) => value !== "other")) {
      return this.of(...values.map(() => "other"));
    }
    const made = this.#make();
    this.#series.set(labels, made);
    return made;
  }

  /** The series with their labels as text. */
  all(): Iterable<readonly [string, Series]> {
    return this.#series;
  }
}

/** The values of a series' labels, and its value. */
export type Sample = readonly [labels: readonly string[], value: number];

interface Family<Source> {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly lines: (source: Source) => Iterable<string>;
}

/** The families of one node. `Source` is what a scrape reads of it. */
export class Figures<Source> {
  readonly #families = new Map<string, Family<Source>>();

  counter(name: string, help: string): Count {
    const count = new Count();
    this.#add({ name, help, type: "counter", lines: () => [`${name} ${numberText(count.value)}`] });
    return count;
  }

  counters(name: string, help: string, labels: readonly string[]): SeriesOf<Count> {
    const series = new SeriesOf(labels, () => new Count());
    const lines = function* (): Generator<string> {
      for (const [text, { value }] of series.all()) yield `${name}{${text}} ${numberText(value)}`;
    };
    this.#add({ name, help, type: "counter", lines });
    return series;
  }

  histogram(name: string, help: string, bounds: readonly number[]): Distribution {
    const distribution = new Distribution(bounds);
    this.#add({ name, help, type: "histogram", lines: () => distribution.lines(name, "") });
    return distribution;
  }

  histograms(
    name: string,
    help: string,
    labels: readonly string[],
    bounds: readonly number[],
  ): SeriesOf<Distribution> {
    const series = new SeriesOf(labels, () => new Distribution(bounds));
    const lines = function* (): Generator<string> {
      for (const [text, distribution] of series.all()) yield* distribution.lines(name, text);
    };
    this.#add({ name, help, type: "histogram", lines });
    return series;
  }

  /** One value, read at each scrape; null where there is none to be told. */
  gauge(name: string, help: string, read: (source: Source) => number | null): void {
    this.#read("gauge", name, help, read);
  }

  /** As {@link gauge}, of what only goes up. */
  total(name: string, help: string, read: (source: Source) => number | null): void {
    this.#read("counter", name, help, read);
  }

  /** Several values, read at each scrape. */
  gauges(
    name: string,
    help: string,
    labels: readonly string[],
    read: (source: Source) => Iterable<Sample>,
  ): void {
    this.#reads("gauge", { name, help, labels }, read);
  }

  /** As {@link gauges}, of what only goes up. */
  totals(
    name: string,
    help: string,
    labels: readonly string[],
    read: (source: Source) => Iterable<Sample>,
  ): void {
    this.#reads("counter", { name, help, labels }, read);
  }

  /** All of it, in Prometheus' text format 0.0.4. */
  text(source: Source): string {
    let text = "";
    for (const { name, help, type, lines } of this.#families.values()) {
      text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
      for (const line of lines(source)) text += `${line}\n`;
    }
    return text;
  }

  #read(
    type: "counter" | "gauge",
    name: string,
    help: string,
    read: (source: Source) => number | null,
  ): void {
    const lines = (source: Source): Iterable<string> => {
      const value = read(source);
      return value === null ? [] : [`${name} ${numberText(value)}`];
    };
    this.#add({ name, help, type, lines });
  }

  #reads(
    type: "counter" | "gauge",
    { name, help, labels }: {
      readonly name: string;
      readonly help: string;
      readonly labels: readonly string[];
    },
    read: (source: Source) => Iterable<Sample>,
  ): void {
    const lines = function* (source: Source): Generator<string> {
      for (const [values, value] of read(source)) {
        yield `${name}{${labelsText(labels, values)}} ${numberText(value)}`;
      }
    };
    this.#add({ name, help, type, lines });
  }

  #add(family: Family<Source>): void {
    const { name, help } = family;
    invariant(nameForm.test(name) && !this.#families.has(name), `a second or bad name: ${name}`);
    invariant(!/[\\\n]/.test(help), `${name}: help is one line`);
    this.#families.set(name, family);
  }
}

function labelsText(names: readonly string[], values: readonly string[]): string {
  invariant(names.length === values.length, `${names.join(", ")}: one value for each label`);
  return names.map((name, at) => `${name}="${escaped(values[at]!)}"`).join(",");
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function numberText(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}
