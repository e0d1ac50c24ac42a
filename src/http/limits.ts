import type { AdmissionLimits } from "./admission.ts";

/** Bounds on what clients may send and hold, each with its name. Sizes are bytes, times milliseconds. */
export interface HttpLimits extends AdmissionLimits {
  /** The largest value (`--max-value-bytes`); 413 beyond. */
  readonly valueBytesMax: number;
  /** By then every request is answered (`--request-timeout`), not counting its body's transfer. */
  readonly requestTimeoutMs: number;
  /** How long a request's body may take to arrive; 408 beyond. */
  readonly bodyTimeoutMs: number;
  /** Requests for keys that are open at a time, those that wait to begin included; 429 beyond. Health, status and peers are not counted. */
  readonly openRequestsMax: number;
  /** Requests for members, the leader, the log and the API's description that are open at a time; 429 beyond. */
  readonly operatorRequestsMax: number;
  /** Bytes that the bodies now arriving may come to; 429 beyond. */
  readonly arrivingBytesMax: number;
  /**
   * A body that is too large is still taken off the wire, and thrown away, up to this size and for this long: a
   * connection closed on a client that is sending may lose it the answer.
   */
  readonly drainBytesMax: number;
  readonly drainTimeoutMs: number;
  /** A body that is not a value: JSON or CBOR; 413 beyond. */
  readonly documentBytesMax: number;
  /** The body of a transaction or of a batch; 413 beyond. */
  readonly operationsBytesMax: number;
  /** A query string, as it is written in the URL; 413 beyond. */
  readonly queryBytesMax: number;
  /** Keys and values in one page of a listing; it ends early, with a cursor. */
  readonly pageBytesMax: number;
  /** A value is shown in `/v1/log` up to this size. */
  readonly loggedValueBytesMax: number;
  /** Watchers that are open at a time; 429 beyond. They don't count as open requests. */
  readonly watchersMax: number;
  /**
   * What may wait for one watcher's client to read it; with more to come it is cut off, and may resume. What is read of
   * the store at a time (256 KiB, or one revision) may be on top of it.
   */
  readonly watchQueueBytesMax: number;
  /** What may wait for all of them; beyond it those with the longest queues are cut off. */
  readonly watchQueuesBytesMax: number;
  /** From one progress event of a watcher to its next; the contract says at least every 5 s. */
  readonly watchProgressIntervalMs: number;
  /** Backups that are being taken at a time; 429 beyond. They don't count as open requests. */
  readonly backupsMax: number;
  /** A backup of which nothing is taken for so long is broken off: it holds on to what the store was. */
  readonly backupIdleMs: number;
  /** A backup that is restored over HTTP; 413 beyond. */
  readonly restoreBytesMax: number;
  /** By then a restore is answered, not counting its body's transfer: it goes into the log piece by piece. */
  readonly restoreTimeoutMs: number;
}

/** What `config.ts` has no flag for, and the defaults of what it has. */
export const defaultHttpLimits: HttpLimits = {
  valueBytesMax: 1024 * 1024,
  requestTimeoutMs: 2000,
  bodyTimeoutMs: 30_000,
  openRequestsMax: 8192,
  operatorRequestsMax: 64,
  turnRequestsMax: 128,
  replicaDelayMs: 200,
  replicaRequestsMin: 16,
  admissionDelayMsMax: 750,
  arrivingBytesMax: 256 * 1024 * 1024,
  drainBytesMax: 16 * 1024 * 1024,
  drainTimeoutMs: 1000,
  documentBytesMax: 64 * 1024,
  operationsBytesMax: 8 * 1024 * 1024,
  queryBytesMax: 16 * 1024,
  pageBytesMax: 8 * 1024 * 1024,
  loggedValueBytesMax: 128,
  watchersMax: 20_000,
  watchQueueBytesMax: 1024 * 1024,
  watchQueuesBytesMax: 256 * 1024 * 1024,
  watchProgressIntervalMs: 4000,
  backupsMax: 2,
  backupIdleMs: 60_000,
  restoreBytesMax: 64 * 1024 * 1024,
  restoreTimeoutMs: 120_000,
};

/** Items in one page of a listing, and entries in one of the log. */
export const pageItemsMax: number = 1000;
/** Where `limit` is not said. */
export const pageItemsDefault: number = 100;
