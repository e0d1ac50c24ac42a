/** What clients ask over HTTP, and what they are answered. */
import type { ProblemCode } from "../wire.ts";
import { latencyBuckets } from "./buckets.ts";
import type { Count, Distribution, Figures, SeriesOf } from "./figures.ts";
import type { MetricsSource } from "./source.ts";

/** Requests to one route by one method. */
export class RequestFigures {
  readonly #duration: Distribution;
  readonly #byStatus: (status: number) => Count;
  readonly #statuses = new Map<number, Count>();

  constructor(duration: Distribution, byStatus: (status: number) => Count) {
    this.#duration = duration;
    this.#byStatus = byStatus;
  }

  answered(status: number, seconds: number): void {
    let count = this.#statuses.get(status);
    if (count === undefined) this.#statuses.set(status, count = this.#byStatus(status));
    count.add();
    this.#duration.observe(seconds);
  }
}

export class RequestMetrics {
  /** Bytes of bodies that were read, and of answers that were not streams. */
  readonly received: Count;
  readonly sent: Count;
  readonly #requests: SeriesOf<Count>;
  readonly #durations: SeriesOf<Distribution>;
  readonly #refusals: SeriesOf<Count>;

  constructor(figures: Figures<MetricsSource>) {
    this.#requests = figures.counters(
      "holdfast_http_requests_total",
      "Requests of clients that were answered; a stream's answer is its beginning.",
      ["route", "method", "status"],
    );
    this.#durations = figures.histograms(
      "holdfast_http_request_duration_seconds",
      "From a request's arrival until it was answered; a stream's answer is its beginning.",
      ["route", "method"],
      latencyBuckets,
    );
    this.#refusals = figures.counters(
      "holdfast_http_refusals_total",
      "Requests of clients that were refused, by the problem's code.",
      ["code"],
    );
    this.received = figures.counter(
      "holdfast_network_client_received_bytes_total",
      "Bytes of the bodies of clients' requests.",
    );
    this.sent = figures.counter(
      "holdfast_network_client_sent_bytes_total",
      "Bytes of the bodies of answers to clients, but for watches.",
    );
    figures.gauge(
      "holdfast_http_open_requests",
      "Requests of clients that are open, of those that are bounded.",
      ({ open }) => open.requests,
    );
    figures.gauge(
      "holdfast_http_arriving_bytes",
      "What the bodies that are arriving may come to.",
      ({ open }) => open.arrivingBytes,
    );
  }

  /** The figures of a route, which is a path with names in place of keys and ids, by method. */
  route(route: string): (method: string) => RequestFigures {
    const methods = new Map<string, RequestFigures>();
    return (method) => {
      const known = methods.get(method);
      if (known !== undefined) return known;
      const made = new RequestFigures(
        this.#durations.of(route, method),
        (status) => this.#requests.of(route, method, String(status)),
      );
      methods.set(method, made);
      return made;
    };
  }

  refused(code: ProblemCode): void {
    this.#refusals.of(code).add();
  }
}
