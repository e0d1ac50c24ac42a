/** `txn`, `batch`: several operations in one request, spelled as the HTTP interface spells them. */
import * as v from "valibot";
import { itemOf } from "../client/item.ts";
import {
  BatchAnswer,
  BatchRequest,
  type BatchResult,
  type ItemAnswer,
  type OperationAnswer,
  type OperationRequest,
  TransactionAnswer,
  TransactionRequest,
} from "../http/wire.ts";
import { BadConfiguration } from "../errors.ts";
import type { Arguments } from "./arguments.ts";
import { clientFlags, clientHelp, type Command } from "./command.ts";
import { post } from "./documents.ts";
import { readFileOf, readStandardInput } from "./input.ts";
import { itemLine } from "./keys.ts";
import { exit, printAnswer, shown } from "./output.ts";

/** `txn`. */
export const txn: Command = {
  summary: "change several keys at once, if all of some conditions hold",
  help: `holdfast txn FILE
… | holdfast txn

Sends a transaction: where all of "if" holds, the operations of "then" are done, else those of
"else"; in order, in one revision, all of it or nothing. It takes effect once, however often it
has to be sent. Prints whether the conditions held, and a line for each operation's result.

  {"if":   [{"key":"a","revision":12}, {"key":"b","exists":false}],
   "then": [{"put":{"key":"b","value":"text","ttl":"30s"}}, {"add":{"key":"n","delta":1}}],
   "else": [{"get":{"key":"a"}}]}

Conditions are about a key's "revision", "created", "version" or "value", with "op" one of =, !=,
< and >, or say whether it "exists". Operations are put, delete, get, list and add, 128 at most.
Keys and values that are not text are base64, with "keyEncoding" or "encoding" beside them.
${clientHelp}

Exit status: 0 the conditions held, 1 they didn't: "else" was done, 2 wrong command line or file,
5 no node could serve it (nothing was changed), 6 the outcome is unknown, 7 refused.
`,
  syntax: { flags: clientFlags, operands: ["[FILE]"] },
  run: async (args) => {
    const request = await readDocument(args, TransactionRequest);
    const answer = await post(args, {
      target: "/v1/txn",
      document: request,
      kind: kindOf([...request.then ?? [], ...request.else ?? []]),
      shape: TransactionAnswer,
    });
    const { succeeded, revision, results } = answer;
    const head = `${succeeded ? "succeeded" : "not succeeded"}: revision ${revision}\n`;
    await printAnswer(args, answer, head + results.flatMap(resultLines).join(""));
    return succeeded ? exit.done : exit.no;
  },
};

/** `batch`. */
export const batch: Command = {
  summary: "send many operations in one request, each for itself",
  help: `holdfast batch FILE
… | holdfast batch

Sends up to 1000 operations, spelled as in a transaction (see holdfast help txn), each with a
revision and an outcome of its own, and conditions where it has an "if":

  {"ops": [{"put":{"key":"a","value":"1"}}, {"delete":{"key":"b"},"if":[{"key":"b","version":1}]}]}

Prints a line for each, which begins with its status as HTTP has it.
${clientHelp}

Exit status: 0 all are done, 1 some are not (an absent key, a condition that did not hold), 2 wrong
command line or file, 5 no node could serve it (nothing was changed), 6 the outcome is unknown, 7
refused.
`,
  syntax: { flags: clientFlags, operands: ["[FILE]"] },
  run: async (args) => {
    const request = await readDocument(args, BatchRequest);
    const answer = await post(args, {
      target: "/v1/batch",
      document: request,
      kind: kindOf(request.ops),
      shape: BatchAnswer,
    });
    await printAnswer(args, answer, answer.results.flatMap(batchLines).join(""));
    if (answer.results.some(({ outcome }) => outcome === "unknown")) return exit.unknown;
    return answer.results.every(({ status }) => status < 400) ? exit.done : exit.no;
  },
};

function kindOf(operations: readonly OperationRequest[]): "read" | "keyedWrite" {
  return operations.every((one) => "get" in one || "list" in one) ? "read" : "keyedWrite";
}

const itemLineOf = (item: ItemAnswer): string => `${itemLine(itemOf(item))}\n`;

/** FILE's document, or standard input's. @throws {BadConfiguration} which says where it is wrong. */
async function readDocument<T>(
  { operands }: Arguments,
  shape: v.GenericSchema<unknown, T>,
): Promise<T> {
  const [file = "-"] = operands;
  const bytes = file === "-" ? await readStandardInput() : await readFileOf("FILE", file);
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new BadConfiguration(`FILE takes JSON: ${why}`);
  }
  const result = v.safeParse(shape, document);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const at = v.getDotPath(issue) ?? "";
  throw new BadConfiguration(`FILE${at === "" ? "" : `, at ${at}`}: ${issue.message}`);
}

function resultLines(result: OperationAnswer): string[] {
  if ("value" in result) return [`${result.value}\n`];
  if ("version" in result) return [`put: version ${result.version}\n`];
  if ("deleted" in result) return [`deleted ${result.deleted}\n`];
  if ("item" in result) return [result.item === null ? "absent\n" : itemLineOf(result.item)];
  return [...result.items.map(itemLineOf), ...(result.more ? ["and more\n"] : [])];
}

function batchLines(result: BatchResult): string[] {
  const { status, revision, detail, code, version, deleted, value, item, items, more } = result;
  const line = (text: string): string => `${status}\t${text}`;
  if (status >= 400) return [line(`${shown(detail ?? code ?? "")}\n`)];
  if (items !== undefined) {
    return [line(`${items.length} items\n`), ...resultLines({ items, more: more === true })];
  }
  if (item !== undefined) return [line(itemLineOf(item))];
  if (value !== undefined) return [line(`${value}\n`)];
  if (deleted !== undefined) return [line(`deleted ${deleted}: revision ${revision}\n`)];
  return [line(`put: revision ${revision}, version ${version}\n`)];
}
