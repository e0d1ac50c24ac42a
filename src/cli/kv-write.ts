/** `put`, `add`, `del`. */
import * as v from "valibot";
import { durationSchema } from "../config/options.ts";
import { BadConfiguration } from "../errors.ts";
import type { Arguments, FlagSpec } from "./arguments.ts";
import {
  clientFlags,
  clientFrom,
  clientHelp,
  type Command,
  conditionFlags,
  type OperandSpec,
  readCondition,
  readFlag,
  readOperand,
} from "./command.ts";
import { contentTypeOf } from "./content-type.ts";
import { readFileOf, readStandardInput } from "./input.ts";
import {
  keyOf,
  keysStatusHelp,
  leaseIdSchema,
  metadataSchema,
  rangeFlags,
  readRange,
  TTL_MS_MAX,
} from "./keys.ts";
import { exit, printAnswer } from "./output.ts";

const TEXT_TYPE = "text/plain; charset=utf-8";
const BINARY_TYPE = "application/octet-stream";

const file: FlagSpec = { takes: "a file's path" };
const contentType: FlagSpec = { takes: "a media type, such as text/plain" };
const ttl: FlagSpec = { takes: "a duration from 1ms to 3650d, such as 30s" };
const lease: FlagSpec = { takes: "a lease's id, which lease grant prints" };
const metadata: FlagSpec = { takes: "up to 1 KiB of text, or base64:…" };

const conditionHelp = `
  --if-absent        only where the key is absent
  --if-present       only where it is there
  --if-revision N    only where the key is at this revision`;

/** `put`. */
export const put: Command = {
  summary: "store a value",
  help: `holdfast put KEY VALUE
holdfast put KEY --file FILE
… | holdfast put KEY -

  --content-type T   kept with the value (default: by the file's name; text/plain for VALUE)
  --ttl T            delete the key so long from now, such as 30s, 12h, 7d
  --lease ID         delete the key when this lease ends
  --metadata M       kept beside the value: up to 1 KiB of text, or base64:…${conditionHelp}${clientHelp}

What isn't said is taken away: a put without --ttl, --lease or --metadata leaves the key without.
${keysStatusHelp}`,
  syntax: {
    flags: { file, contentType, ttl, lease, metadata, ...conditionFlags, ...clientFlags },
    operands: ["KEY", "[VALUE]"],
  },
  run: async (args) => {
    const client = clientFrom(args);
    const key = keyOf(args);
    const condition = readCondition(args);
    const options = readExtras(args);
    const { value, type } = await readValue(args);
    const given = readFlag(args, "contentType", contentType, v.pipe(v.string(), v.nonEmpty()));
    const result = await client.put(key, value, {
      contentType: given ?? type,
      ...(condition === undefined ? {} : { condition }),
      ...options,
    });
    const { revision, version, created } = result;
    const what = created ? "created" : "replaced";
    await printAnswer(args, result, `${what}: revision ${revision}, version ${version}\n`);
    return exit.done;
  },
};

function readExtras(args: Arguments) {
  const ttlMs = readFlag(args, "ttl", ttl, durationSchema(1, TTL_MS_MAX));
  const id = readFlag(args, "lease", lease, leaseIdSchema);
  const bytes = readFlag(args, "metadata", metadata, metadataSchema);
  return {
    ...(ttlMs === undefined ? {} : { ttlMs }),
    ...(id === undefined ? {} : { lease: id }),
    ...(bytes === undefined ? {} : { metadata: bytes }),
  };
}

async function readValue(
  { operands, flags }: Arguments,
): Promise<{ readonly value: Uint8Array; readonly type: string }> {
  const [, value] = operands;
  const { file: path } = flags;
  if ((value === undefined) === (path === undefined)) {
    throw new BadConfiguration("put takes either VALUE (- for standard input) or --file");
  }
  if (path !== undefined) {
    return { value: await readFileOf("--file", path), type: contentTypeOf(path) };
  }
  if (value === "-") return { value: await readStandardInput(), type: BINARY_TYPE };
  return { value: new TextEncoder().encode(value), type: TEXT_TYPE };
}

const delta: OperandSpec = { at: 1, name: "DELTA", takes: "a 64-bit integer, such as 1 or -5" };
const bound: FlagSpec = { takes: "a 64-bit integer, such as 0" };
const integerSchema: v.GenericSchema<string, bigint> = v.pipe(
  v.string(),
  v.regex(/^-?\d{1,19}$/),
  v.transform((text) => BigInt(text)),
  v.minValue(-(2n ** 63n)),
  v.maxValue(2n ** 63n - 1n),
);

/** `add`. */
export const add: Command = {
  summary: "add to a number, atomically",
  help: `holdfast add KEY DELTA [--min N] [--max N]

Adds DELTA, which may be negative, to the 64-bit integer that KEY holds as decimal text, and
prints the sum. An absent key counts as 0. Sent again after a lost answer it still counts once.

  --min N            where the sum would be less, it is N
  --max N            where the sum would be more, it is N${clientHelp}

Exit status: 0 done, 1 what the key holds is no 64-bit integer, 2 wrong command line, 5 no node
could serve it (nothing was changed), 6 the outcome is unknown, 7 refused.
`,
  syntax: { flags: { min: bound, max: bound, ...clientFlags }, operands: ["KEY", "DELTA"] },
  run: async (args) => {
    const min = readFlag(args, "min", bound, integerSchema);
    const max = readFlag(args, "max", bound, integerSchema);
    if (min !== undefined && max !== undefined && min > max) {
      throw new BadConfiguration("--min takes what is not more than --max");
    }
    const by = readOperand(args, delta, integerSchema);
    const { revision, version, value } = await clientFrom(args).add(keyOf(args), by, {
      ...(min === undefined ? {} : { min }),
      ...(max === undefined ? {} : { max }),
    });
    await printAnswer(args, { revision, version, value: `${value}` }, `${value}\n`);
    return exit.done;
  },
};

/** `del`. */
export const del: Command = {
  summary: "delete a key, or all keys of a range",
  help: `holdfast del KEY
holdfast del --prefix PREFIX
holdfast del --start K --end K

It prints how many keys were deleted, in one revision; an absent key counts 0 and is no error.
${conditionHelp}${clientHelp}
${keysStatusHelp}`,
  syntax: { flags: { ...rangeFlags, ...conditionFlags, ...clientFlags }, operands: ["[KEY]"] },
  run: async (args) => {
    const client = clientFrom(args);
    const condition = readCondition(args);
    const [key] = args.operands;
    const range = readRange(args);
    const hasRange = Object.keys(range).length > 0;
    if ((key !== undefined) === hasRange) {
      throw new BadConfiguration("del takes either KEY or --prefix, or --start and --end");
    }
    if (hasRange && condition !== undefined) {
      throw new BadConfiguration("a range (--prefix, --start, --end) takes no condition");
    }
    const result = hasRange
      ? await client.deleteRange(range)
      : await client.delete(keyOf(args), condition === undefined ? {} : { condition });
    const { revision, deleted } = result;
    await printAnswer(args, { revision, deleted }, `deleted ${deleted}: revision ${revision}\n`);
    return exit.done;
  },
};
