/** Command lines: tokens from `util.parseArgs`, and one line about the first thing that is wrong. */
import { parseArgs } from "node:util";
import { flagOf } from "../config/options.ts";
import { BadConfiguration } from "../errors.ts";

/** What a flag takes; the table's name is the flag in camelCase. */
export interface FlagSpec {
  /** Completes "takes …"; of no use to a flag that is `bare`. */
  readonly takes: string;
  readonly isSwitch?: true;
  /** Takes no value at all: there or not. */
  readonly bare?: true;
}

/** A command's shape. */
export interface Syntax {
  readonly flags: Readonly<Record<string, FlagSpec>>;
  /** Names of what stands without a flag, such as `KEY`; those in brackets may be left out. */
  readonly operands: readonly string[];
  /** The name of what stands behind `--` and is passed on as it is, where the command wants that. */
  readonly rest?: string;
}

/** What was given, as text. A bare flag, or a switch alone, reads `on`. */
export interface Arguments {
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly operands: readonly string[];
  /** All behind `--`, where the syntax has a `rest`; else those are operands. */
  readonly rest: readonly string[];
  readonly help: boolean;
}

const onOff = /^(on|off|true|false|1|0)$/;

/**
 * Reads a command line.
 * @throws {BadConfiguration} on unknown and repeated flags, missing values, and operands too few or too many.
 */
export function parseArguments(argv: readonly string[], syntax: Syntax): Arguments {
  const { own, rest } = split(argv, syntax);
  const names = new Map(Object.keys(syntax.flags).map((name) => [flagOf(name).slice(2), name]));
  const isBoolean = (name: string): boolean => {
    const spec = syntax.flags[name];
    return spec?.bare === true || spec?.isSwitch === true;
  };
  const { tokens } = parseArgs({
    args: own.map(hideSign),
    options: Object.fromEntries([
      ["help", { type: "boolean", short: "h" }],
      ...[...names].map(([flag, name]) => [
        flag,
        { type: isBoolean(name) ? "boolean" : "string" },
      ]),
    ]),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  if (tokens.some((token) => token.kind === "option" && token.name === "help")) {
    return { flags: {}, operands: [], rest: [], help: true };
  }
  const flags: Record<string, string> = {};
  const operands: string[] = [];
  /** A switch that came right before, and may take the next word. */
  let open: { readonly name: string; readonly index: number } | null = null;
  for (const token of tokens) {
    if (token.kind === "option-terminator") continue;
    if (token.kind === "positional") {
      if (open?.index === token.index - 1 && onOff.test(token.value)) {
        flags[open.name] = token.value;
      } else operands.push(showSign(token.value));
      continue;
    }
    const name = names.get(token.name);
    if (name === undefined) {
      throw new BadConfiguration(
        `${token.rawName} is not a flag of this command; --help lists them`,
      );
    }
    if (Object.hasOwn(flags, name)) throw new BadConfiguration(`${token.rawName} is given twice`);
    flags[name] = valueOf(token, syntax.flags[name] ?? { takes: "a value" });
    open = syntax.flags[name]?.isSwitch === true && token.value === undefined
      ? { name, index: token.index }
      : null;
  }
  checkOperands(operands, syntax.operands);
  if (syntax.rest !== undefined && rest.length === 0) {
    throw new BadConfiguration(`${syntax.rest} is missing, behind --; see --help`);
  }
  return { flags, operands, rest, help: false };
}

function split(
  argv: readonly string[],
  { rest }: Syntax,
): { readonly own: readonly string[]; readonly rest: readonly string[] } {
  const at = rest === undefined ? -1 : argv.indexOf("--");
  return at < 0 ? { own: argv, rest: [] } : { own: argv.slice(0, at), rest: argv.slice(at + 1) };
}

interface OptionToken {
  readonly rawName: string;
  readonly value: string | undefined;
  readonly inlineValue: boolean | undefined;
}

function valueOf(token: OptionToken, spec: FlagSpec): string {
  if (spec.bare === true) {
    if (token.value === undefined) return "on";
    throw new BadConfiguration(`${token.rawName} takes no value`);
  }
  if (token.value === undefined && spec.isSwitch === true) return "on";
  // `--id --listen …` is a forgotten value; one that starts with a dash is written `--id=-x`.
  if (token.value === undefined || (token.inlineValue !== true && /^-./.test(token.value))) {
    throw new BadConfiguration(`${token.rawName} takes ${spec.takes}; nothing is given`);
  }
  return showSign(token.value);
}

/** `-12` is a number and no flag. No word that a process is given can have a NUL. */
function hideSign(word: string): string {
  return /^-\d+$/.test(word) ? `\0${word}` : word;
}

function showSign(word: string): string {
  return word.startsWith("\0") ? word.slice(1) : word;
}

function checkOperands(given: readonly string[], names: readonly string[]): void {
  const missing = names.slice(given.length).find((name) => !name.startsWith("["));
  if (missing !== undefined) throw new BadConfiguration(`${missing} is missing; see --help`);
  const extra = given[names.length];
  if (extra === undefined) return;
  throw new BadConfiguration(
    `${JSON.stringify(extra.slice(0, 100))} is one word too many; flags start with --, see --help`,
  );
}
