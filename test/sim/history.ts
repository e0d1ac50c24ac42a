/**
 * What clients asked and what they were told, checked against what was committed. Revisions are a total order that the
 * store itself gives out, so most of linearizability is a look at each operation: it must not go back behind anything
 * that had been answered before it began, and its answer must be what the committed history has there.
 */
import type { Command } from "../../src/kv/command.ts";
import type { KvResult } from "../../src/kv/result.ts";
import { checkHistory } from "./linearizability.ts";
import type { Oracles } from "./oracles.ts";
import type { Probes } from "./probes.ts";
import { identityOf, type Request, requestText, type Response } from "./operation.ts";
import type { Operation as Part } from "./register.ts";
import { asRegisters } from "./registers.ts";
import { resultText } from "./result-text.ts";
import { type Flaw, revisionFlaw } from "./revision-order.ts";
import { seen } from "./server.ts";

/** An operation as a client saw it. Times are microseconds. */
export interface Operation {
  readonly number: number;
  readonly client: number;
  readonly node: string;
  readonly request: Request;
  /** What its command is found by in the log; null for a read. */
  readonly identity: string | null;
  readonly invokedAt: number;
  /** The highest revision that anybody had been told when it began. */
  readonly floor: number;
  completedAt: number | null;
  /** Null while it is open; `unknown` also where no answer came. */
  response: Response | null;
}

/** A command, asked for once or several times. */
interface Asked {
  attempts: number;
  /** Attempts that were answered as not applied. */
  refused: number;
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
  readonly #asked = new Map<string, Asked>();
  /** What keyed commands were first answered with. */
  readonly #answers = new Map<string, string>();
  #floor = 0;

  /** @param options `drift` as in {@link SimOptions}. */
  constructor(oracles: Oracles, probes: Probes, options: { readonly drift: number }) {
    this.#oracles = oracles;
    this.#probes = probes;
    this.#drift = options.drift;
    oracles.isRefused = (identity, times) => this.#isRefused(identity, times);
  }

  /** The number of the next operation. */
  get next(): number {
    return this.operations.length + 1;
  }

  /** The highest revision that anybody has been told. */
  get floor(): number {
    return this.#floor;
  }

  begin(client: number, node: string, request: Request, now: number): Operation {
    const identity = request.type === "write" ? identityOf(request.command) : null;
    const operation: Operation = {
      number: this.next,
      client,
      node,
      request,
      identity,
      invokedAt: now,
      floor: this.#floor,
      completedAt: null,
      response: null,
    };
    this.operations.push(operation);
    if (identity !== null) this.#askedOf(identity).attempts++;
    return operation;
  }

  end(operation: Operation, response: Response, now: number): void {
    if (operation.response !== null) return;
    operation.response = withoutItems(response);
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
    const { reference } = this.#oracles;
    for (const { identity, response } of this.operations) {
      if (identity === null || (response !== null && response.type !== "unknown")) continue;
      this.#probes.reached(
        reference.effects(identity).length === 0
          ? "write of unknown fate was never applied"
          : "write of unknown fate was applied",
      );
    }
    const flaw = this.#flaw(asRegisters(this.operations, reference));
    if (flaw !== null) this.#oracles.fail(`key ${flaw.key} is not linearizable: ${flaw.reason}`);
  }

  #flaw(parts: readonly Part[]): Flaw | null {
    const verdict = this.operations.length > searchedMax ? null : checkHistory(parts);
    if (verdict?.ok === true) return null;
    if (verdict?.verdict === "violated") return verdict;
    this.#probes.reached("history too long to search");
    return revisionFlaw(parts);
  }

  #askedOf(identity: string): Asked {
    const asked = this.#asked.get(identity) ?? { attempts: 0, refused: 0 };
    this.#asked.set(identity, asked);
    return asked;
  }

  /** Whether one of the attempts that stand in the log, so many, must be one that was answered as not applied. */
  #isRefused(identity: string, times: number): boolean {
    const { attempts, refused } = this.#askedOf(identity);
    return times > attempts - refused;
  }

  #wrong(operation: Operation, response: Response): string | null {
    switch (response.type) {
      case "written":
        return this.#wrongWrite(operation, response);
      case "notApplied":
        return this.#wrongRefusal(operation, response.reason);
      case "read":
        return this.#wrongRead(operation, response);
      case "compacted":
        return this.#wrongCompaction(operation, response);
      case "unknown":
        return null;
    }
  }

  #wrongRefusal({ identity }: Operation, reason: string): string | null {
    if (reason === "overloaded") this.#probes.reached("write refused for overload");
    this.#probes.reached("write refused as nothing that will ever be");
    if (identity === null) return null;
    this.#askedOf(identity).refused++;
    const effects = this.#oracles.reference.effects(identity);
    if (!this.#isRefused(identity, effects.length)) return null;
    const indexes = effects.map(({ index }) => index);
    return `was answered as not applied (${reason}), and stands at ${indexes.join()}`;
  }

  #wrongWrite(
    { request, identity, floor }: Operation,
    { result, index }: Extract<Response, { type: "written" }>,
  ): string | null {
    if (request.type !== "write" || identity === null) return "a read was answered as a write";
    const text = resultText(result);
    const effects = this.#oracles.reference.effects(identity);
    const effect = effects.find((each) => each.index === index);
    const { revision } = result;
    this.#floor = Math.max(this.#floor, revision);
    if (result.type === "conditionFailed") this.#probes.reached("condition failed");
    if (effect === undefined) return `was acknowledged at ${index}, and nobody applied it there`;
    if (effect.text !== text) return `was told ${text}, and it gave ${effect.text}`;
    if (request.command.type === "keyed") {
      const wrong = this.#wrongRepeat(request.command, identity, result);
      if (wrong !== null) return wrong;
      // It may be the answer of long ago.
      if (effect !== effects[0]) return null;
    }
    const least = effect.revision > effect.before ? floor + 1 : floor;
    return revision < least
      ? `got revision ${revision}, and ${floor} was known before it began`
      : null;
  }

  /** Whoever repeats a keyed command gets the answer that it got first. */
  #wrongRepeat(
    { session, number }: Extract<Command, { type: "keyed" }>,
    identity: string,
    result: KvResult,
  ): string | null {
    if (result.type === "keyReused") this.#probes.reached("key of another command refused");
    if (result.type === "keyDone") this.#probes.reached("keyed command refused as done with");
    if (result.type === "keyReused" || result.type === "keyDone") return null;
    const text = resultText(result);
    const first = this.#answers.get(identity);
    if (first !== undefined) this.#probes.reached("keyed write answered again");
    else this.#answers.set(identity, text);
    if (first === undefined || first === text) return null;
    return `number ${number} of ${session} was told ${first} and then ${text}`;
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
    const { request } = operation;
    if (request.type === "write") return "a write was answered as a read";
    const { revision, items } = response;
    const wrong = request.revision === null
      ? this.#wrongPresent(operation, request.consistency, response)
      : this.#wrongPast(request.revision, revision);
    if (wrong !== null) return wrong;
    const { reference } = this.#oracles;
    const expected = request.type === "get"
      ? [[request.key, reference.at(request.key, revision)] as const]
      : reference.rangeAt(request.start, request.end, revision).slice(0, request.limit);
    const text = JSON.stringify(
      expected.flatMap(([key, item]) => item === null ? [] : [seen(key, item)]),
    );
    if (text === JSON.stringify(items)) return null;
    return `saw ${JSON.stringify(items)} at revision ${revision}, where ${text} was committed`;
  }

  #wrongPast(wanted: number, revision: number): string | null {
    this.#probes.reached("past read answered");
    return revision === wanted ? null : `shows revision ${revision}, and ${wanted} was asked for`;
  }

  #wrongPresent(
    { floor }: Operation,
    consistency: "linearizable" | "lease" | "stale",
    { revision, stalenessMs, at, follows }: Extract<Response, { type: "read" }>,
  ): string | null {
    if (consistency === "stale") {
      if (stalenessMs === null) return null;
      this.#probes.reached("stale read with a known age");
      return this.wrongAge(revision, stalenessMs, at);
    }
    this.#floor = Math.max(this.#floor, revision);
    this.#probes.reached(follows ? "linearizable read on a follower" : "read on a leader");
    if (consistency === "lease") this.#probes.reached("lease read answered");
    return revision < floor
      ? `reflects revision ${revision}, and ${floor} was known before it began`
      : null;
  }

  /** Only what is beyond the history's limits, or not there yet, is refused. */
  #wrongCompaction(
    { request }: Operation,
    { floor, revision }: Extract<Response, { type: "compacted" }>,
  ): string | null {
    const wanted = request.type === "write" ? null : request.revision;
    if (wanted === null) return "has no revision that could be gone";
    if (floor > this.#oracles.reference.model.floor) return `calls ${floor} the oldest revision`;
    if (wanted < floor) {
      this.#probes.reached("past read refused as forgotten");
      return null;
    }
    if (wanted <= revision) {
      return `${wanted} is refused, and ${floor} to ${revision} are to be had`;
    }
    return request.type !== "write" && request.consistency === "stale"
      ? null
      : `${wanted} is refused at ${revision}, and was known before it began`;
  }
}

/** Without what a larger write read: that has been looked at, and holds on to much memory. */
function withoutItems(response: Response): Response {
  if (response.type !== "written" || !("results" in response.result)) return response;
  return { ...response, result: { ...response.result, results: [] } };
}
