/** A write-ahead log in memory: the twin of `file-wal.ts` for tests and for nodes that keep nothing. */
import { DiskFailure } from "../errors.ts";
import type { RecoveredLog, Wal, WalWrite } from "../ports.ts";
import type { Index } from "../raft/types.ts";
import type { ChainPoint } from "./log-record.ts";
import { FIRST_HARD_STATE, WalLog } from "./wal-log.ts";

/** {@link Wal} in memory. What was appended outlives `close`, for `earlier` of {@link openMemoryWal}. */
export class MemoryWal implements Wal {
  readonly #log: WalLog;
  #failure: Error | null = null;

  constructor(log: WalLog) {
    this.#log = log;
  }

  /** What a file would hold. */
  recovered(): RecoveredLog {
    return this.#log.recovered();
  }

  async append(write: WalWrite): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    try {
      const cut = this.#log.cut(write);
      this.#log.begin(cut);
      this.#log.append(cut.entries);
    } catch (error) {
      this.#failure = error instanceof Error ? error : new DiskFailure(String(error));
      throw this.#failure;
    }
  }

  async compactBefore(index: Index): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    this.#log.compactBefore(index);
  }

  async close(): Promise<void> {
    this.#failure ??= new DiskFailure("the WAL is closed");
  }
}

/** Opens a new log that starts at `start`, or goes on with what an `earlier` one holds. */
export function openMemoryWal(
  start: ChainPoint,
  earlier?: MemoryWal,
): { readonly wal: MemoryWal; readonly recovered: RecoveredLog; readonly created: boolean } {
  const recovered = earlier?.recovered() ??
    { hardState: FIRST_HARD_STATE, logStart: start, entries: [] };
  const log = new WalLog(recovered.hardState, recovered.logStart, recovered.entries);
  return { wal: new MemoryWal(log), recovered, created: earlier === undefined };
}
