/** Transactions, put together piece by piece. */
import { TransactionAnswer } from "../http/wire.ts";
import { bad, decode, jsonBody } from "./answer.ts";
import type { CallOptions } from "./options.ts";
import {
  type Check,
  checkRequest,
  type Operation,
  operationRequest,
  operationResult,
  type ResultsOf,
} from "./operations.ts";
import type { Session } from "./session.ts";

type Operations = readonly Operation[];

/** What a transaction came to: `results` are those of `then`, or, where a check failed, of `else`. */
export type TransactionResult<Then extends Operations, Else extends Operations> =
  | { readonly revision: number; readonly succeeded: true; readonly results: ResultsOf<Then> }
  | { readonly revision: number; readonly succeeded: false; readonly results: ResultsOf<Else> };

/**
 * A transaction that is put together: `if` all checks hold, the operations of `then` are done, else those of `else`; in
 * one revision, all or nothing. Each method gives a new one. Nothing is sent before {@link commit}; one that is awaited
 * without it throws, rather than doing nothing.
 */
export class Transaction<
  Then extends Operations = readonly [],
  Else extends Operations = readonly [],
> {
  readonly #session: Session;
  readonly #checks: readonly Check[];
  readonly #then: Then;
  readonly #else: Else;

  constructor(session: Session, parts: {
    readonly checks: readonly Check[];
    readonly then: Then;
    readonly else: Else;
  }) {
    this.#session = session;
    this.#checks = parts.checks;
    this.#then = parts.then;
    this.#else = parts.else;
  }

  /** What has to hold, besides what was said before; at most 128. */
  if(...checks: readonly Check[]): Transaction<Then, Else> {
    return this.#with({ checks: [...this.#checks, ...checks], then: this.#then, else: this.#else });
  }

  /** What is done where all checks hold, behind what was said before; at most 128. */
  then<const More extends Operations>(
    ...operations: More
  ): Transaction<readonly [...Then, ...More], Else> {
    // What `await` would hand over.
    if (operations.some((operation) => typeof operation === "function")) {
      throw new TypeError("a transaction is sent by commit()");
    }
    return this.#with({
      checks: this.#checks,
      then: [...this.#then, ...operations],
      else: this.#else,
    });
  }

  /** What is done where a check fails, behind what was said before; at most 128. */
  else<const More extends Operations>(
    ...operations: More
  ): Transaction<Then, readonly [...Else, ...More]> {
    return this.#with({
      checks: this.#checks,
      then: this.#then,
      else: [...this.#else, ...operations],
    });
  }

  /** Sends it. It takes effect once, however often it has to be sent. @throws {ClientError} */
  async commit(options: CallOptions = {}): Promise<TransactionResult<Then, Else>> {
    const [then, otherwise] = [this.#then, this.#else];
    const isRead = [...then, ...otherwise].every((one) => "get" in one || "list" in one);
    const answer = await this.#session.send({
      method: "POST",
      target: "/v1/txn",
      ...jsonBody({
        if: this.#checks.map(checkRequest),
        then: then.map(operationRequest),
        else: otherwise.map(operationRequest),
      }),
      kind: isRead ? "read" : "keyedWrite",
      ...options,
    });
    const kind = isRead ? "read" : "write";
    const { revision, succeeded, results } = decode(TransactionAnswer, answer, kind);
    const operations = succeeded ? then : otherwise;
    const typed = operations.map((operation, at) =>
      operationResult(operation, results[at]) ?? bad(answer, kind, "other results than it should")
    );
    // The loop above has checked each against its operation.
    return { revision, succeeded, results: typed } as TransactionResult<Then, Else>;
  }

  #with<const T extends Operations, const E extends Operations>(parts: {
    readonly checks: readonly Check[];
    readonly then: T;
    readonly else: E;
  }): Transaction<T, E> {
    return new Transaction(this.#session, parts);
  }
}

/** One that does nothing yet. */
export function emptyTransaction(session: Session): Transaction {
  return new Transaction(session, { checks: [], then: [], else: [] });
}
