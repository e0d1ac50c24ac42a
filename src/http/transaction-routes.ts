/** `/v1/txn` and `/v1/batch`: many operations in one request. */
import {
  type BatchCommand,
  commandBytesMax,
  type Operation,
  sessionBytesMax,
  type TransactionCommand,
} from "../kv/command.ts";
import { neededBy } from "../kv/access/needs.ts";
import { encodeCommand } from "../kv/command-codec.ts";
import { type KvResult, resultBytesMax } from "../kv/result.ts";
import { runBatch, runTransaction } from "../kv/transaction.ts";
import { readDocument } from "./body.ts";
import type { Exchange } from "./exchange.ts";
import { batchAnswer, operationAnswers } from "./operation-answers.ts";
import { batchItemsOf, checksOf, operationsOf } from "./operations.ts";
import { tooLarge } from "./problem.ts";
import { propose, refusalOfResult } from "./proposing.ts";
import { confirm } from "./reading.ts";
import {
  type BatchAnswer,
  BatchRequest,
  type TransactionAnswer,
  TransactionRequest,
} from "./wire.ts";

type Executable = TransactionCommand | BatchCommand;

/** What an `Idempotency-Key` and a token may add to a command. */
const keyedBytes = sessionBytesMax + 128;
const none = () => undefined;

/** `POST /v1/txn`: 200, whether its checks held or not; one revision for all that it changes. */
export async function postTransaction(exchange: Exchange): Promise<Response> {
  const { operationsBytesMax, valueBytesMax } = exchange.host.limits;
  const request = await readDocument(exchange, TransactionRequest, operationsBytesMax);
  const checks = checksOf(request.if, "if", valueBytesMax);
  const then = operationsOf(request.then, "then", valueBytesMax);
  const otherwise = operationsOf(request.else, "else", valueBytesMax);
  const command: Executable = { type: "transaction", checks, then, else: otherwise };
  const result = await execute(exchange, command, [...then, ...otherwise]);
  if (result.type !== "transaction") throw refusalOfResult(result);
  const { revision, succeeded, results } = result;
  const cbor = exchange.wantsCbor;
  const answer: TransactionAnswer = {
    revision,
    succeeded,
    results: operationAnswers(succeeded ? then : otherwise, { results, revision, cbor }),
  };
  return exchange.document(200, answer, { revision });
}

/** `POST /v1/batch`: 200, with the outcome of each operation. */
export async function postBatch(exchange: Exchange): Promise<Response> {
  const { operationsBytesMax, valueBytesMax } = exchange.host.limits;
  const request = await readDocument(exchange, BatchRequest, operationsBytesMax);
  const items = batchItemsOf(request.ops, valueBytesMax);
  const operations = items.map(({ operation }) => operation);
  const result = await execute(exchange, { type: "batch", items }, operations);
  if (result.type !== "batch") throw refusalOfResult(result);
  const { revision, results } = result;
  const cbor = exchange.wantsCbor;
  const answer: BatchAnswer = {
    revision,
    results: results.map((each, at) => batchAnswer(operations[at], each, cbor)),
  };
  return exchange.document(200, answer, { revision });
}

/**
 * What came of it. What only reads has no part in the log: it needs a leader's word that this node is not behind, and
 * no key, as it may well happen twice.
 */
async function execute(
  exchange: Exchange,
  command: Executable,
  operations: readonly Operation[],
): Promise<KvResult> {
  const { host } = exchange;
  if (operations.every(({ type }) => type === "get" || type === "list")) {
    const { machine, leaseReads, gate } = host;
    const needs = () => neededBy(command, none) ?? [];
    if (exchange.caller.type === "bearer") await exchange.may(needs);
    await confirm(exchange, leaseReads ? "lease" : "linearizable");
    if (gate.isClosed) await exchange.recheck(needs);
    // None of them asks for the time, or for leases.
    const around = { store: machine.store, time: 0, hasLease: () => false, resultBytesMax };
    return command.type === "batch"
      ? runBatch(around, command.items)
      : runTransaction(around, command);
  }
  const encoded = encodeCommand(command);
  // A document may spell more in less: base64 in JSON does not, and names of members are shorter than what they say.
  if (encoded.length > commandBytesMax - keyedBytes) {
    throw tooLarge("the command in the body", commandBytesMax - keyedBytes);
  }
  return await propose(exchange, encoded);
}
