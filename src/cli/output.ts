/** What a command says: text for people, or with `--json` documents for programs; answers here, troubles there. */
import process from "node:process";
import { ClientError } from "../client/mod.ts";
import { BadConfiguration } from "../errors.ts";
import type { Arguments, FlagSpec } from "./arguments.ts";

/** Exit statuses. `node` has its own: 0, 2, 3 and 4, as in `runtimes/boot.ts`. */
export const exit = {
  done: 0,
  /** The key is absent, or the condition did not hold: nothing was changed. */
  no: 1,
  /** The command line is wrong. */
  usage: 2,
  /** No node could serve the request: nothing was changed. */
  unavailable: 5,
  /** The write may have been applied, or may still be. */
  unknown: 6,
  /** The request was refused (too large, malformed), or something else failed. */
  failed: 7,
  /** A lock was lost while a command ran that needed it. */
  lost: 8,
} as const;

/** Every command's `--json`. */
export const jsonFlag: FlagSpec = { takes: "", bare: true };

/** Writes to standard output, and resolves when it is out. */
export function print(text: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => {
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
  });
}

/** Text that a terminal shows and doesn't obey: control characters are escaped. */
export function shown(text: string): string {
  return text.replaceAll(
    // deno-lint-ignore no-control-regex -- these are what a terminal obeys
    /[\x00-\x1f\x7f-\x9f]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** Whether `--json` is given. */
export function wantsJson({ flags }: Pick<Arguments, "flags">): boolean {
  return flags["json"] !== undefined;
}

/** Prints what a command came to: one document, or lines of text. */
export async function printAnswer(args: Arguments, document: unknown, text: string): Promise<void> {
  await print(wantsJson(args) ? `${JSON.stringify(document)}\n` : text);
}

/** Says on standard error what is wrong: a line of text, or one JSON object a line. */
export function tell(
  args: Pick<Arguments, "flags">,
  command: string,
  detail: string,
  fields: Readonly<Record<string, unknown>> = {},
): void {
  process.stderr.write(
    wantsJson(args)
      ? `${JSON.stringify({ ...fields, detail })}\n`
      : `holdfast ${command}: ${shown(detail)}\n`,
  );
}

/** Says on standard error how far it is. */
export function tellProgress(args: Pick<Arguments, "flags">, line: string): void {
  process.stderr.write(
    wantsJson(args) ? `${JSON.stringify({ progress: line })}\n` : `${shown(line)}\n`,
  );
}

/** Says on standard error what ended a command. `argv` is its command line, which may be what was wrong. */
export function tellError(argv: readonly string[], error: unknown): void {
  const end = argv.indexOf("--");
  const isJson = (end < 0 ? argv : argv.slice(0, end)).includes("--json");
  process.stderr.write(
    isJson
      ? `${JSON.stringify(problemOf(error))}\n`
      : `holdfast: ${messageOf(error).replaceAll(/\s*\n\s*/g, " ")}\n`,
  );
}

/** An error as a document, with the names that a node's problems have. */
export function problemOf(error: unknown): Readonly<Record<string, unknown>> {
  const detail = messageOf(error);
  if (error instanceof BadConfiguration) return { code: "usage", detail };
  if (!(error instanceof ClientError)) return { code: "failed", detail };
  const { code, status, outcome, revision, oldest } = error;
  return {
    code,
    ...(status === null ? {} : { status }),
    ...(outcome === null ? {} : { outcome }),
    ...(revision === null ? {} : { revision }),
    ...(oldest === null ? {} : { oldest }),
    detail,
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
