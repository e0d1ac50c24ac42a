/** The event loop, the disk and the clocks, as the watchdog sees them, and the disk's room. */
import type { WatchdogObserver } from "../../replica/watchdog.ts";
import type { Count, Distribution, Figures } from "./figures.ts";
import type { MetricsSource } from "./source.ts";

const lagBuckets = [0.001, 0.004, 0.016, 0.064, 0.256, 1.024, 4.096, 16.384];

export class WatchdogMetrics implements WatchdogObserver {
  readonly #lag: Distribution;
  readonly #loopStalls: Count;
  readonly #diskStalls: Count;
  readonly #clockJumps: Count;
  #isStalled = false;

  /** In milliseconds, by peer; read at each scrape. */
  peerClocks: () => ReadonlyMap<string, number> = () => new Map();

  constructor(figures: Figures<MetricsSource>) {
    this.#lag = figures.histogram(
      "holdfast_event_loop_lag_seconds",
      "How late the event loop came to what it was asked for, ten times a second.",
      lagBuckets,
    );
    this.#loopStalls = figures.counter(
      "holdfast_event_loop_stalls_total",
      "Times that the event loop stood still for over half an election timeout.",
    );
    this.#diskStalls = figures.counter(
      "holdfast_disk_stalls_total",
      "Times that a write to the log took longer than an election timeout.",
    );
    figures.gauge(
      "holdfast_disk_stalled",
      "1 while a write to the log has taken longer than an election timeout.",
      () => this.#isStalled ? 1 : 0,
    );
    this.#clockJumps = figures.counter(
      "holdfast_clock_jumps_total",
      "Times that the wall clock parted from the monotonic one by over a second at once.",
    );
    figures.gauges(
      "holdfast_peer_clock_offset_seconds",
      "How far a peer's wall clock is ahead of this one's, as its last signed message says.",
      ["peer"],
      () => [...this.peerClocks()].map(([peer, ms]) => [[peer], ms / 1000]),
    );
    defineRoom(figures);
  }

  loopLagged(seconds: number, isStall: boolean): void {
    this.#lag.observe(seconds);
    if (isStall) this.#loopStalls.add();
  }

  diskStalled(isStalled: boolean): void {
    this.#isStalled = isStalled;
    if (isStalled) this.#diskStalls.add();
  }

  clockJumped(): void {
    this.#clockJumps.add();
  }
}

/** Null where nobody looks: in memory, or with `--disk-reserve 0`. */
function defineRoom(figures: Figures<MetricsSource>): void {
  figures.gauge(
    "holdfast_disk_free_bytes",
    "Bytes that may still be written to the disk that the data is on.",
    ({ status }) => status.room?.freeBytes ?? null,
  );
  figures.gauge(
    "holdfast_disk_wanted_bytes",
    "With less than this free the node is read-only: the reserve, and room for the next snapshot.",
    ({ status }) => status.room?.wantedBytes ?? null,
  );
  figures.gauge(
    "holdfast_read_only",
    "1 while the disk is almost full.",
    ({ status: { room } }) => room === null ? null : room.level === "enough" ? 0 : 1,
  );
}
