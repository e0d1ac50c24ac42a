/**
 * `/v1/restore`: a backup into an empty cluster. The backup is checked whole before anything is proposed; then it goes
 * into the log in pieces, and takes effect on all replicas by one last command (`kv/restoring.ts`).
 */
import { loadBackup } from "../backup/check.ts";
import { openBackup } from "../backup/format.ts";
import { MalformedBytes, NotApplied, OutcomeUnknown } from "../errors.ts";
import { encodeCommand } from "../kv/command-codec.ts";
import { type RestoreCommand, restorePieceBytesMax } from "../kv/command.ts";
import type { KvResult } from "../kv/result.ts";
import { digestWith, firstDigest } from "../kv/staging.ts";
import { readBody } from "./body.ts";
import type { Exchange } from "./exchange.ts";
import { badRequest, Refusal } from "./problem.ts";
import { refusalOfResult, withToken } from "./proposing.ts";
import { requireVersion } from "./version-gate.ts";
import type { RestoreAnswer } from "./wire.ts";

/** Between two attempts at a step that was not done, in milliseconds. */
const againMs = 100;

/** `POST`: the body is a backup. @throws {Refusal} {NotApplied} {OutcomeUnknown} */
export async function postRestore(exchange: Exchange): Promise<Response> {
  const { host } = exchange;
  const { limits, replica, machine } = host;
  requireVersion(host, "restoring over HTTP");
  const body = await readBody(exchange, limits.restoreBytesMax);
  await replica.read("linearizable", exchange.timeoutMs);
  if (machine.store.revision > 0) throw notEmpty(machine.store.revision);
  const { state, keys } = await checked(body);
  const revision = await new Restore(exchange).run(state);
  return exchange.document(200, { revision, keys } satisfies RestoreAnswer, { revision });
}

/** The state in a backup, in pieces that commands may carry. @throws {Refusal} 400 where it is not sound. */
async function checked(
  body: Uint8Array,
): Promise<{ readonly state: readonly Uint8Array[]; readonly keys: number }> {
  const state: Uint8Array[] = [];
  try {
    const opened = await openBackup(inTurns([body]));
    const chunks = inTurns(opened.chunks, (chunk) => state.push(chunk));
    const { summary } = await loadBackup({ ...opened, chunks });
    if (summary.revision === 0) throw badRequest("body: a backup of an empty store");
    return { state: together(state), keys: summary.keys };
  } catch (error) {
    if (!(error instanceof MalformedBytes)) throw error;
    throw badRequest(`body: not a sound backup: ${error.message}`);
  }
}

/** Everything else has its turn in between. */
async function* inTurns(
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  note: (piece: Uint8Array) => void = () => {},
): AsyncGenerator<Uint8Array, void> {
  for await (const piece of pieces) {
    note(piece);
    await new Promise((resolve) => setTimeout(resolve));
    yield piece;
  }
}

/** The same bytes in fewer pieces. */
function together(chunks: readonly Uint8Array[]): readonly Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let rest = chunks;
  while (rest.length > 0) {
    let length = 0;
    const count = rest.findIndex((chunk) => (length += chunk.length) > restorePieceBytesMax);
    const taken = count < 0 ? rest : rest.slice(0, Math.max(1, count));
    const piece = new Uint8Array(taken.reduce((sum, chunk) => sum + chunk.length, 0));
    let at = 0;
    for (const chunk of taken) {
      piece.set(chunk, at);
      at += chunk.length;
    }
    pieces.push(piece);
    rest = rest.slice(taken.length);
  }
  return pieces;
}

/** One restore, step by step. Each may be proposed again whatever became of it: it is done once. */
class Restore {
  readonly #exchange: Exchange;
  readonly #id = crypto.randomUUID();
  readonly #deadline: number;

  constructor(exchange: Exchange) {
    const { host } = exchange;
    this.#exchange = exchange;
    this.#deadline = host.now() + host.limits.restoreTimeoutMs;
  }

  /** Resolves with the store's revision. @throws {Refusal} {NotApplied} {OutcomeUnknown} */
  async run(pieces: readonly Uint8Array[]): Promise<number> {
    let offset = 0;
    let digest = firstDigest;
    try {
      await this.#step({ type: "begin" });
      for (const bytes of pieces) {
        await this.#step({ type: "piece", offset, bytes });
        offset += bytes.length;
        digest = digestWith(digest, bytes);
      }
    } catch (error) {
      this.#giveUp();
      // Whatever became of the pieces: without the last step nothing takes effect.
      if (error instanceof OutcomeUnknown) throw new NotApplied("no_leader", error.message);
      throw error;
    }
    const result = await this.#step({ type: "commit", bytes: offset, digest });
    return result.revision;
  }

  /** @throws {OutcomeUnknown} where it may have been done, or may still be. {NotApplied} {Refusal} */
  async #step(step: RestoreCommand["step"]): Promise<KvResult> {
    const { now } = this.#exchange.host;
    let uncertain: OutcomeUnknown | null = null;
    for (;;) {
      const result = await this.#propose(step, Math.max(1, this.#deadline - now()));
      if (result instanceof OutcomeUnknown) uncertain = result;
      if (!(result instanceof Error)) {
        if (result.type === "restoring" || result.type === "restored") return result;
        // With a backup come its tokens: who could begin a restore may not be let in when it has ended.
        throw uncertain === null || result.type === "restoreRefused"
          ? refusalOf(result)
          : uncertain;
      }
      // A node that stops, or has no room, won't be ready for the next attempt either.
      const isHopeless = result instanceof NotApplied && result.reason === "not_ready";
      if (isHopeless || now() + againMs >= this.#deadline) throw uncertain ?? result;
      await new Promise((resolve) => setTimeout(resolve, againMs));
    }
  }

  /** Frees what the members hold of it; they do so themselves in time. */
  #giveUp(): void {
    const { requestTimeoutMs } = this.#exchange.host.limits;
    this.#propose({ type: "abort" }, requestTimeoutMs).catch(() => {});
  }

  async #propose(
    step: RestoreCommand["step"],
    timeoutMs: number,
  ): Promise<KvResult | NotApplied | OutcomeUnknown> {
    const { replica, limits } = this.#exchange.host;
    const command = encodeCommand({ type: "restore", id: this.#id, step });
    const payload = withToken(this.#exchange, command);
    try {
      return (await replica.propose(payload, Math.min(limits.requestTimeoutMs, timeoutMs))).result;
    } catch (error) {
      if (error instanceof NotApplied || error instanceof OutcomeUnknown) return error;
      throw error;
    }
  }
}

function refusalOf(result: KvResult): Refusal {
  if (result.type !== "restoreRefused") return refusalOfResult(result);
  const { revision } = result;
  switch (result.reason) {
    case "notEmpty":
      return notEmpty(revision);
    case "over":
      return new Refusal("precondition_failed", result.detail, { revision });
    case "malformed":
      return badRequest(`body: ${result.detail}`);
  }
}

function notEmpty(revision: number): Refusal {
  const detail = revision > 0
    ? `the store is not empty: it is at revision ${revision}; a backup is restored into a cluster of its own`
    : "the store is not empty: there have been leases; a backup is restored into a cluster of its own";
  return new Refusal("precondition_failed", detail, { revision });
}
