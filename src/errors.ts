/**
 * The error vocabulary, in one place. What a caller may do next is in the type:
 * a `NotApplied` request changed nothing and never will, an `OutcomeUnknown` one may have been applied or
 * still be; everything else in this file stops the process or refuses its start.
 */

/** Why a request was refused before anything was proposed. */
export type NotAppliedReason = "no_leader" | "not_ready" | "overloaded";

/** The request changed nothing and never will: sending it again is safe. */
export class NotApplied extends Error {
  override readonly name = "NotApplied";
  readonly reason: NotAppliedReason;
  constructor(reason: NotAppliedReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** The request was handed to the cluster and its fate was not learned in time. */
export class OutcomeUnknown extends Error {
  override readonly name = "OutcomeUnknown";
}

/** Why a change of membership was refused. */
export type ChangeRefusedCode = "bad_request" | "not_found" | "change_in_progress";

/** The members stay as they are, and the same request would be refused again. */
export class ChangeRefused extends Error {
  override readonly name = "ChangeRefused";
  readonly code: ChangeRefusedCode;
  constructor(code: ChangeRefusedCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** A stale read was asked for with a bound that this node cannot keep. */
export class TooStale extends Error {
  override readonly name = "TooStale";
}

/** Bytes from a socket or a disk that are not what they must be. `offset` is in bytes, from their start. */
export class MalformedBytes extends Error {
  override readonly name = "MalformedBytes";
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(`${message} (at byte ${offset})`);
    this.offset = offset;
  }
}

/** The peer did not answer; see `maybeReceived`. */
export class PeerUnreachable extends Error {
  override readonly name = "PeerUnreachable";
  /** False only where the request certainly never reached the peer: the connection was refused. */
  readonly maybeReceived: boolean;
  /**
   * `busy` where nothing was sent because too much is on its way to the peer already; `refused` where somebody did
   * answer, and one of both doesn't believe what the other has signed.
   */
  readonly reason: "unreachable" | "busy" | "refused";
  constructor(
    message: string,
    maybeReceived: boolean,
    reason: "unreachable" | "busy" | "refused" = "unreachable",
  ) {
    super(message);
    this.maybeReceived = maybeReceived;
    this.reason = reason;
  }
}

/** A disk holds what only an operator may decide about: exit status 3. */
export class CorruptData extends Error {
  override readonly name = "CorruptData";
  readonly file: string;
  readonly offset: number;
  constructor(file: string, offset: number, message: string) {
    super(`${file}, offset ${offset}: ${message}`);
    this.file = file;
    this.offset = offset;
  }
}

/** The data directory is locked or belongs to another node or cluster: exit status 3. */
export class DataDirectoryRefused extends Error {
  override readonly name = "DataDirectoryRefused";
}

/** A flag, variable or configuration file says what it may not: exit status 2. */
export class BadConfiguration extends Error {
  override readonly name = "BadConfiguration";
}

/** A write or sync failed. It is never retried, the kernel may have dropped the pages: exit status 4. */
export class DiskFailure extends Error {
  override readonly name = "DiskFailure";
}
