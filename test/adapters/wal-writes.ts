/** Builds WAL writes for tests: a log that is appended to, cut and reset, and what a recovery must then say. */
import { sealEntry } from "../../src/adapters/log-record.ts";
import type { RecoveredLog, WalWrite } from "../../src/ports.ts";
import type { Entry, HardState, SnapshotMeta } from "../../src/raft/types.ts";

export const START = { index: 0, term: 0, crc: 0 };

/** Writes in the order made, with the state that each leaves behind. */
export class WriteScript {
  hardState: HardState = { term: 0, vote: null, commit: 0 };
  logStart: { index: number; term: number; crc: number } = START;
  entries: Entry[] = [];
  readonly writes: WalWrite[] = [];
  /** `states[k]` is what a recovery says after the first k writes. */
  readonly states: RecoveredLog[] = [this.#state()];

  get last(): { index: number; term: number; crc: number } {
    return this.entries.at(-1) ?? this.logStart;
  }

  append(count: number, payloadBytes: number, change: Partial<HardState> = {}): WalWrite {
    return this.#write({ entries: this.#seal(count, payloadBytes), ...this.#hard(change) });
  }

  vote(change: Partial<HardState>): WalWrite {
    return this.#write(this.#hard(change));
  }

  /** Replaces everything from `index` on. */
  replace(
    index: number,
    count: number,
    payloadBytes: number,
    change: Partial<HardState>,
  ): WalWrite {
    const hardState = this.#hard(change);
    this.entries = this.entries.slice(0, index - this.logStart.index - 1);
    const entries = this.#seal(count, payloadBytes);
    return this.#write({ truncateFrom: index, entries, ...hardState });
  }

  reset(index: number, term: number, change: Partial<HardState> = {}): WalWrite {
    const configuration = { voters: ["n1"], outgoing: [], learners: [], urls: {} };
    const reset: SnapshotMeta = { index, term, crc: index * 77, configuration };
    this.logStart = { index, term, crc: reset.crc };
    this.entries = [];
    return this.#write({ reset, ...this.#hard(change) });
  }

  #hard(change: Partial<HardState>): { hardState: HardState } | Record<string, never> {
    if (Object.keys(change).length === 0) return {};
    this.hardState = { ...this.hardState, ...change };
    return { hardState: this.hardState };
  }

  #seal(count: number, payloadBytes: number): Entry[] {
    const sealed: Entry[] = [];
    for (let i = 0; i < count; i++) {
      const { index, crc } = sealed.at(-1) ?? this.last;
      const payload = new Uint8Array(payloadBytes).fill(index + this.hardState.term * 31);
      sealed.push(
        sealEntry({ index: index + 1, term: this.hardState.term, kind: "command", payload }, crc),
      );
    }
    return sealed;
  }

  #write(parts: Partial<WalWrite>): WalWrite {
    const write = { hardState: null, reset: null, truncateFrom: null, entries: [], ...parts };
    this.entries = [...this.entries, ...write.entries];
    this.writes.push(write);
    this.states.push(this.#state());
    return write;
  }

  #state(): RecoveredLog {
    return { hardState: this.hardState, logStart: this.logStart, entries: this.entries };
  }
}

/** A recovered log as text that is equal if and only if the logs are, entries' bytes included. */
export function digest(log: RecoveredLog): string {
  const { hardState: { term, vote, commit }, logStart, entries } = log;
  const start = `${logStart.index}@${logStart.term}#${logStart.crc}`;
  const records = entries.map((entry) =>
    `${entry.index}@${entry.term}#${entry.crc}:${Buffer.from(entry.record).toString("base64")}`
  );
  return [`term ${term} vote ${vote} commit ${commit} start ${start}`, ...records].join("\n");
}
