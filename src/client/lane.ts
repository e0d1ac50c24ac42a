/**
 * Calls that are made in the same turn travel together, as one batch; one by itself takes its plain route. While
 * as many requests as may be are on their way, the calls behind them gather: the slower the answers, the larger the
 * batches. Those of one batch are done in the order in which they were made; otherwise, who wants an order awaits.
 */
import { BatchAnswer, type BatchOperationRequest, type BatchResult } from "../http/wire.ts";
import { bad, decode } from "./answer.ts";
import { type Answer, isKnownCode, type Request } from "./attempt.ts";
import { concat } from "./bytes.ts";
import { ClientError } from "./error.ts";
import { abandoned, type Fate, freshFate, late, type Session } from "./session.ts";

/** A call that can travel in a batch. */
export interface BatchedCall<T> {
  /** How it travels by itself; null where only a batch can carry it. */
  readonly plain: Request | null;
  readonly fromAnswer: (answer: Answer) => T;
  readonly operation: () => BatchOperationRequest;
  /** @param answer the one that the result came in. */
  readonly fromResult: (result: BatchResult, answer: Answer) => T;
  readonly signal?: AbortSignal | undefined;
}

/** Reads and writes travel apart: what only reads is no command in the log. */
export type LaneKind = "read" | "keyedWrite";

/** Requests of a lane that are on their way at a time. */
const REQUESTS_MAX = 4;
/** Calls of a lane that wait; what comes beyond them is refused. */
const WAITING_MAX = 100_000;
const BATCH_CALLS_MAX = 1000;
const BATCH_BYTES_MAX = 4 * 1024 * 1024;
/** A call of more bytes takes its plain route, where they stand as they are. */
const BATCHED_BYTES_MAX = 256 * 1024;

const encoder = new TextEncoder();

/** What is known of a call until it is over. */
interface Entry {
  readonly call: BatchedCall<unknown>;
  readonly deadline: number;
  /** Of the request that it travels in, once it does. */
  fate: Fate;
  isOver: boolean;
  /** Whether it travels with others, for whose sake it may be sent again although it is given up. */
  isShared: () => boolean;
  /** Called when it is given up, once it travels. */
  onGivenUp: () => void;
  readonly settle: (outcome: Settlement) => void;
}

type Settlement = { readonly value: unknown } | { readonly error: unknown };

/** A queue of calls that may share a batch. */
export class Lane {
  readonly #session: Session;
  readonly #kind: LaneKind;
  #waiting: Entry[] = [];
  #requests = 0;
  #isScheduled = false;

  constructor(session: Session, kind: LaneKind) {
    this.#session = session;
    this.#kind = kind;
  }

  /** @throws {ClientError} */
  async add<T>(call: BatchedCall<T>): Promise<T> {
    const kind = this.#kind;
    if (call.signal?.aborted === true) throw abandoned(kind, freshFate(), call.signal);
    if (this.#waiting.length >= WAITING_MAX) {
      throw new ClientError(`over ${WAITING_MAX} calls wait`, {
        code: "overloaded",
        status: null,
        outcome: kind === "read" ? null : "not_applied",
      });
    }
    const { timeoutMs } = this.#session.options;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let onAbort = (): void => {};
    try {
      // The value is what `call` itself made.
      return await new Promise<unknown>((resolve, reject) => {
        const entry: Entry = {
          call,
          deadline: performance.now() + timeoutMs,
          fate: freshFate(),
          isOver: false,
          isShared: () => false,
          onGivenUp: () => {},
          settle: (outcome) => {
            entry.isOver = true;
            if ("value" in outcome) resolve(outcome.value);
            else reject(outcome.error);
          },
        };
        const giveUp = (error: ClientError): void => {
          entry.settle({ error });
          entry.onGivenUp();
        };
        timer = setTimeout(() => giveUp(late(kind, fateOf(entry))), timeoutMs);
        const { signal } = call;
        if (signal !== undefined) {
          onAbort = () => giveUp(abandoned(kind, fateOf(entry), signal));
          signal.addEventListener("abort", onAbort);
        }
        this.#waiting.push(entry);
        this.#schedule();
      }) as T;
    } finally {
      clearTimeout(timer);
      call.signal?.removeEventListener("abort", onAbort);
    }
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    this.#isScheduled = false;
    while (this.#requests < REQUESTS_MAX && this.#waiting.length > 0) {
      const batch = this.#take();
      this.#requests++;
      void this.#send(batch).finally(() => {
        this.#requests--;
        this.#flush();
      });
    }
  }

  /** As many calls from the front as one request may carry. */
  #take(): Parcel {
    const operations: Uint8Array[] = [];
    const entries: Entry[] = [];
    let bytes = 0;
    for (const entry of this.#waiting) {
      const { plain } = entry.call;
      const isHeavy = plain !== null && (plain.body?.length ?? 0) > BATCHED_BYTES_MAX;
      const isAlone = entries.length === 0 && (isHeavy || this.#waiting.length === 1);
      if (isAlone && plain !== null) {
        this.#waiting.shift();
        return { entries: [entry], operations };
      }
      if (isHeavy || entries.length === BATCH_CALLS_MAX) break;
      const encoded = encodedOperation(entry);
      if (entries.length > 0 && bytes + encoded.length > BATCH_BYTES_MAX) break;
      bytes += encoded.length + 1;
      entries.push(entry);
      operations.push(encoded);
    }
    this.#waiting.splice(0, entries.length);
    return { entries, operations };
  }

  /** Never rejects. */
  async #send(parcel: Parcel): Promise<void> {
    const { entries, operations } = withoutGivenUp(parcel);
    if (entries.length === 0) return;
    const [first] = entries;
    const plain = entries.length === 1 ? first?.call.plain ?? null : null;
    const fate = freshFate();
    const abort = new AbortController();
    const onGivenUp = (): void => {
      if (entries.every(({ isOver }) => isOver)) abort.abort();
    };
    for (const entry of entries) {
      entry.fate = fate;
      entry.isShared = () => entries.some((other) => other !== entry && !other.isOver);
      entry.onGivenUp = onGivenUp;
    }
    try {
      const answer = await this.#session.send({
        ...(plain ?? batchRequest(operations)),
        kind: this.#kind,
        fate,
        signal: abort.signal,
        timeoutMs: Math.max(...entries.map(({ deadline }) => deadline)) - performance.now(),
      });
      if (plain !== null) settleWith(first, () => first?.call.fromAnswer(answer));
      else await this.#distribute({ entries, operations }, answer);
    } catch (error) {
      if (entries.length > 1 && isAboutOne(error)) {
        // Any of them may be to blame, and the others are innocent.
        return await this.#sendHalves({ entries, operations });
      }
      for (const entry of entries) entry.settle({ error });
    }
  }

  /** Gives each call its own result. */
  async #distribute({ entries, operations }: Parcel, answer: Answer): Promise<void> {
    const kind = this.#kind;
    const side = kind === "read" ? "read" : "write";
    const { results } = decode(BatchAnswer, answer, side);
    // What is too much together may do by itself.
    const isLeft = (at: number): boolean =>
      kind === "read" && entries.length > 1 && results[at]?.status === 413;
    for (const [at, entry] of entries.entries()) {
      const result = results[at];
      if (isLeft(at)) continue;
      settleWith(entry, () => {
        if (result === undefined) return bad(answer, side, "too few results");
        const isAbsent = kind === "read" && result.code === "not_found";
        if (result.status >= 400 && !isAbsent) throw failureOf(result, kind);
        return entry.call.fromResult(result, answer);
      });
    }
    const left = {
      entries: entries.filter((_, at) => isLeft(at)),
      operations: operations.filter((_, at) => isLeft(at)),
    };
    if (left.entries.length < entries.length) await this.#send(left);
    else await this.#sendHalves(left);
  }

  async #sendHalves({ entries, operations }: Parcel): Promise<void> {
    for (const entry of entries) entry.isShared = () => false;
    const middle = Math.ceil(entries.length / 2);
    for (const [from, to] of [[0, middle], [middle, entries.length]] as const) {
      await this.#send({
        entries: entries.slice(from, to),
        operations: operations.slice(from, to),
      });
    }
  }
}

/** What travels together. */
interface Parcel {
  readonly entries: readonly Entry[];
  /** Of each, encoded; none where the plain route is taken. */
  readonly operations: readonly Uint8Array[];
}

/** What is known of a call that is given up now. */
function fateOf({ fate, isShared }: Entry): Fate {
  return isShared() ? { ...fate, isUnderWay: true } : fate;
}

/** Nothing for a call whose arguments can't be sent: that is its end, and only its. */
function encodedOperation(entry: Entry): Uint8Array {
  try {
    return encoder.encode(JSON.stringify(entry.call.operation()));
  } catch (error) {
    entry.settle({ error });
    return new Uint8Array();
  }
}

/** Who gave up has its outcome, and is not sent again. */
function withoutGivenUp({ entries, operations }: Parcel): Parcel {
  return {
    entries: entries.filter(({ isOver }) => !isOver),
    operations: operations.filter((_, at) => entries[at]?.isOver === false),
  };
}

function settleWith(entry: Entry | undefined, result: () => unknown): void {
  try {
    entry?.settle({ value: result() });
  } catch (error) {
    entry?.settle({ error });
  }
}

function batchRequest(operations: readonly Uint8Array[]): Request {
  const comma = encoder.encode(",");
  const body = concat([
    encoder.encode('{"ops":['),
    ...operations.flatMap((operation, at) => (at === 0 ? [operation] : [comma, operation])),
    encoder.encode("]}"),
  ]);
  const headers = { "content-type": "application/json" };
  return { method: "POST", target: "/v1/batch", headers, body };
}

/** Whether a batch was refused because of what one of its calls is. */
function isAboutOne(error: unknown): boolean {
  return error instanceof ClientError && error.outcome !== "unknown" &&
    (error.code === "bad_request" || error.code === "too_large");
}

/** What an operation of a batch failed with, as if it had been sent by itself. */
function failureOf(
  { status, code, detail, outcome, revision }: BatchResult,
  kind: LaneKind,
): ClientError {
  return new ClientError(detail ?? code ?? `status ${status}`, {
    code: isKnownCode(code) ? code : "bad_answer",
    status,
    outcome: kind === "read" ? null : outcome ?? "unknown",
    revision: code === "precondition_failed" ? revision : null,
  });
}
