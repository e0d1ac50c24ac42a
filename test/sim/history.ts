/**
 * What clients asked and what they were told, checked against what was committed. Revisions are a total order that the
 * store itself gives out, so most of linearizability is a look at each operation: it must not go back behind anything
 * that had been answered before it began, and its answer must be what the committed history has there.
 */
import { checkHistory } from "./linearizability.ts";
import type { Oracles } from "./oracles.ts";
import type { Probes } from "./probes.ts";
import { type ReferenceItem, resultText } from "./reference.ts";
import type { Operation as Part } from "./register.ts";
import { asRegisters } from "./registers.ts";
import { type Flaw, revisionFlaw } from "./revision-order.ts";
import { type Request, requestText, type Response, type SeenItem } from "./operation.ts";

/** An operation as a client saw it. Times are microseconds. */
export interface Operation {
  readonly number: number;
  readonly client: number;
  readonly node: string;
  readonly request: Request;
  readonly invokedAt: number;
  /** The highest revision that anybody had been told when it began. */
  readonly floor: number;
  completedAt: number | null;
  /** Null while it is open; `unknown` also where no answer came. */
  response: Response | null;
}

/** Operations, beyond which a history is not searched for an order of each key: the revisions' has to do. */
const searchedMax = 20_000;
/** A staleness counts in the machine's own milliseconds and is compared in true ones: rounding, beside the drift. */
const stalenessGraceUs = 2000;

export class History {
  readonly operations: Operation[] = [];
  readonly #oracles: Oracles;
  readonly #probes: Probes;
  readonly #drift: number;
  readonly #keys: number;
  #floor = 0;

  /** @param options `drift` as in {@link SimOptions}; `keys` is how many the clients use. */
  constructor(
    oracles: Oracles,
    probes: Probes,
    options: { readonly drift: number; readonly keys: number },
  ) {
    this.#oracles = oracles;
    this.#probes = probes;
    this.#drift = options.drift;
    this.#keys = options.keys;
    oracles.isRefused = (number) => this.operations[number - 1]?.response?.type === "notApplied";
  }

  /** The number of the next operation. */
  get next(): number {
    return this.operations.length + 1;
  }

  begin(client: number, node: string, request: Request, now: number): Operation {
    const operation: Operation = {
      number: this.next,
      client,
      node,
      request,
      invokedAt: now,
      floor: this.#floor,
      completedAt: null,
      response: null,
    };
    this.operations.push(operation);
    return operation;
  }

  end(operation: Operation, response: Response, now: number): void {
    if (operation.response !== null) return;
    operation.response = response;
    operation.completedAt = now;
    const wrong = this.#wrong(operation, response);
    if (wrong !== null) {
      this.#oracles.fail(
        `operation ${operation.number} (${
          requestText(operation.request)
        }) on ${operation.node}: ${wrong}`,
      );
    }
  }

  /** At the end of a run: what became of the writes that got no answer. */
  close(): void {
    for (const { number, request, response } of this.operations) {
      if (request.type !== "write") continue;
      const effect = this.#oracles.reference.effect(number);
      if (response === null || response.type === "unknown") {
        this.#probes.reached(
          effect === undefined
            ? "write of unknown fate was never applied"
            : "write of unknown fate was applied",
        );
      }
      if (response?.type === "written" && effect === undefined) {
        this.#oracles.fail(`operation ${number} was acknowledged and is not in the log`);
      }
    }
    const flaw = this.#flaw(asRegisters(this.operations, this.#keys));
    if (flaw !== null) this.#oracles.fail(`key ${flaw.key} is not linearizable: ${flaw.reason}`);
  }

  #flaw(parts: readonly Part[]): Flaw | null {
    const verdict = this.operations.length > searchedMax ? null : checkHistory(parts);
    if (verdict?.ok === true) return null;
    if (verdict?.verdict === "violated") return verdict;
    this.#probes.reached("history too long to search");
    return revisionFlaw(parts);
  }

  #wrong(operation: Operation, response: Response): string | null {
    switch (response.type) {
      case "written":
        return this.#wrongWrite(operation, resultText(response.result), response.result.revision);
      case "notApplied": {
        if (response.reason === "overloaded") this.#probes.reached("write refused for overload");
        this.#probes.reached("write refused as nothing that will ever be");
        const effect = this.#oracles.reference.effect(operation.number);
        if (effect === undefined) return null;
        return `was answered as not applied (${response.reason}), and stands at ${effect.index}`;
      }
      case "read":
        return this.#wrongRead(operation, response);
      case "unknown":
        return null;
    }
  }

  #wrongWrite(operation: Operation, result: string, revision: number): string | null {
    const effect = this.#oracles.reference.effect(operation.number);
    const { floor } = operation;
    this.#floor = Math.max(this.#floor, revision);
    if (result.startsWith("conditionFailed")) this.#probes.reached("condition failed");
    if (effect === undefined) return `was acknowledged, and nobody applied it`;
    if (effect.result !== result) return `was told ${result}, and it gave ${effect.result}`;
    const isChange = result.startsWith("put") || !/^deleted .* 0$/.test(result);
    const least = isChange && !result.startsWith("conditionFailed") ? floor + 1 : floor;
    return revision < least
      ? `got revision ${revision}, and ${floor} was known before it began`
      : null;
  }

  /** What is wrong with saying at `at` that a state at `revision` is at most `stalenessMs` old; null where it is true. */
  wrongAge(revision: number, stalenessMs: number, at: number): string | null {
    const age = stalenessMs * 1000 / (1 - this.#drift) ** 2 + stalenessGraceUs;
    const least = this.#oracles.reference.revisionAt(at - age);
    return revision < least
      ? `is at revision ${revision}, said to be ${stalenessMs} ms old, and ${least} was applied before that`
      : null;
  }

  #wrongRead(operation: Operation, response: Extract<Response, { type: "read" }>): string | null {
    const { request, floor } = operation;
    if (request.type === "write") return "a write was answered as a read";
    const { revision, items, stalenessMs, at } = response;
    const { reference } = this.#oracles;
    if (request.consistency === "stale") {
      if (stalenessMs !== null) {
        this.#probes.reached("stale read with a known age");
        const wrong = this.wrongAge(revision, stalenessMs, at);
        if (wrong !== null) return wrong;
      }
    } else {
      this.#floor = Math.max(this.#floor, revision);
      this.#probes.reached(
        response.follows ? "linearizable read on a follower" : "read on a leader",
      );
      if (request.consistency === "lease") this.#probes.reached("lease read answered");
      if (revision < floor) {
        return `reflects revision ${revision}, and ${floor} was known before it began`;
      }
    }
    const expected: SeenItem[] = request.type === "get"
      ? [[request.key, reference.at(request.key, revision)] as const].flatMap(seen)
      : reference.rangeAt(request.start, request.end, revision).flatMap(seen);
    if (JSON.stringify(expected) === JSON.stringify(items)) return null;
    return `saw ${JSON.stringify(items)} at revision ${revision}, where ${
      JSON.stringify(expected)
    } was committed`;
  }
}

function seen(
  [key, item]: readonly [string, ReferenceItem | null],
): SeenItem[] {
  if (item === null) return [];
  const { revision, crc, contentType, value } = item;
  return [{ key, revision, crc, contentType, value }];
}
