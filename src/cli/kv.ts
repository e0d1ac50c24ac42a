/** `put`, `get`, `del`, `list`. */
import { readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import * as v from "valibot";
import type { Key, ListedItem, ListOptions, ReadOptions } from "../client/mod.ts";
import { countSchema, durationSchema } from "../config/options.ts";
import { BadConfiguration } from "../errors.ts";
import type { Arguments, FlagSpec } from "./arguments.ts";
import {
  clientFlags,
  clientFrom,
  clientHelp,
  type Command,
  conditionFlags,
  exit,
  isDirectory,
  print,
  readCondition,
  readFlag,
  shown,
} from "./command.ts";
import { contentTypeOf } from "./content-type.ts";

const TEXT_TYPE = "text/plain; charset=utf-8";
const BINARY_TYPE = "application/octet-stream";

const bare: FlagSpec = { takes: "", bare: true };
const contentType: FlagSpec = { takes: "a media type, such as text/plain" };

const conditionHelp = `
  --if-absent        only where the key is absent
  --if-present       only where it is there
  --if-revision N    only where the key is at this revision`;

const statusHelp = `
Exit status: 0 done, 1 the key is absent or the condition did not hold, 2 wrong command line,
5 no node could serve it (nothing was changed), 6 the write's outcome is unknown, 7 refused.
`;

/** `put`. */
export const put: Command = {
  summary: "store a value",
  help: `holdfast put KEY VALUE
holdfast put KEY --file FILE
… | holdfast put KEY -

  --content-type T   kept with the value (default: by the file's name; text/plain for VALUE)${conditionHelp}
  --json             print the answer as JSON${clientHelp}
${statusHelp}`,
  syntax: {
    flags: {
      file: { takes: "a file's path" },
      contentType,
      ...conditionFlags,
      json: bare,
      ...clientFlags,
    },
    operands: ["KEY", "[VALUE]"],
  },
  run: async (args) => {
    const client = clientFrom(args);
    const condition = readCondition(args);
    const { value, type } = await readValue(args);
    const given = readFlag(args, "contentType", contentType, v.pipe(v.string(), v.nonEmpty()));
    const result = await client.put(keyOf(args), value, {
      contentType: given ?? type,
      ...(condition === undefined ? {} : { condition }),
    });
    const { revision, version, created } = result;
    const text = `${created ? "created" : "replaced"}: revision ${revision}, version ${version}`;
    await print(`${args.flags["json"] === undefined ? text : JSON.stringify(result)}\n`);
    return exit.done;
  },
};

/** `get`. */
export const get: Command = {
  summary: "read a value, byte for byte",
  help: `holdfast get KEY [--output FILE]

  --output FILE      write to a file, not to standard output
  --consistency C    linearizable (default), lease or stale
  --max-stale T      with stale: fail rather than answer with what is older${clientHelp}
${statusHelp}`,
  syntax: {
    flags: { output: { takes: "a file's path" }, ...readFlags(), ...clientFlags },
    operands: ["KEY"],
  },
  run: async (args) => {
    const key = keyOf(args);
    const item = await clientFrom(args).get(key, readOptions(args));
    if (item === null) {
      process.stderr.write(`holdfast get: ${shown(key)} is absent\n`);
      return exit.no;
    }
    const { output } = args.flags;
    if (output === undefined) await print(item.value);
    else await writeFile(output, item.value);
    return exit.done;
  },
};

/** `del`. */
export const del: Command = {
  summary: "delete a key, or all keys with a prefix",
  help: `holdfast del KEY
holdfast del --prefix PREFIX

It prints how many keys were deleted; an absent key counts 0 and is no error.
${conditionHelp}
  --json             print the answer as JSON${clientHelp}
${statusHelp}`,
  syntax: {
    flags: { prefix: { takes: "a prefix" }, ...conditionFlags, json: bare, ...clientFlags },
    operands: ["[KEY]"],
  },
  run: async (args) => {
    const client = clientFrom(args);
    const condition = readCondition(args);
    const [key] = args.operands;
    const { prefix } = args.flags;
    if ((key === undefined) === (prefix === undefined)) {
      throw new BadConfiguration("del takes either KEY or --prefix");
    }
    if (prefix !== undefined && condition !== undefined) {
      throw new BadConfiguration("--prefix takes no condition");
    }
    const result = prefix === undefined
      ? await client.delete(keyOf(args), condition)
      : await client.deletePrefix(prefix);
    const { revision, deleted } = result;
    const text = `deleted ${deleted}: revision ${revision}`;
    await print(`${args.flags["json"] === undefined ? text : JSON.stringify(result)}\n`);
    return exit.done;
  },
};

const PAGE_ITEMS = 1000;

/** `list`. */
export const list: Command = {
  summary: "list keys in order",
  help: `holdfast list [--prefix PREFIX]

A line for each key: key, revision, size in bytes, content type, with tabs between.

  --prefix P         keys that begin so
  --start K, --end K keys from K on, and before K
  --limit N          N keys at most (default: all)
  --reverse          from the last key to the first
  --keys-only        nothing but keys
  --json             a JSON object a line, with the value as text, or as base64 where
                     "encoding":"base64" says so
  --consistency C    linearizable (default), lease or stale
  --max-stale T      with stale: fail rather than answer with what is older${clientHelp}
${statusHelp}`,
  syntax: {
    flags: {
      prefix: { takes: "a prefix" },
      start: { takes: "a key" },
      end: { takes: "a key" },
      limit: { takes: "a number of at least 1" },
      reverse: bare,
      keysOnly: bare,
      json: bare,
      ...readFlags(),
      ...clientFlags,
    },
    operands: [],
  },
  run: async (args) => {
    const client = clientFrom(args);
    const { prefix, start, end, reverse, keysOnly, json } = args.flags;
    const schema = countSchema(1, Number.MAX_SAFE_INTEGER);
    let left = readFlag(args, "limit", { takes: "a number of at least 1" }, schema) ?? Infinity;
    const options: ListOptions = {
      ...readOptions(args),
      ...(prefix === undefined ? {} : { prefix }),
      ...(start === undefined ? {} : { start }),
      ...(end === undefined ? {} : { end }),
      ...(reverse === undefined ? {} : { reverse: true }),
      ...(keysOnly === undefined ? {} : { keysOnly: true }),
    };
    const line = json !== undefined ? jsonLine : keysOnly !== undefined ? keyLine : plainLine;
    let cursor: string | null = null;
    do {
      const page = await client.list({
        ...options,
        limit: Math.min(left, PAGE_ITEMS),
        ...(cursor === null ? {} : { cursor }),
      });
      await print(page.items.map((item) => `${line(item)}\n`).join(""));
      left -= page.items.length;
      cursor = page.cursor;
    } while (cursor !== null && left > 0);
    return exit.done;
  },
};

function plainLine(item: ListedItem): string {
  return `${keyLine(item)}\t${item.revision}\t${item.value.length}\t${shown(item.contentType)}`;
}

/** The key as text, or `base64:…` where it is not UTF-8. */
function keyLine({ key }: { readonly key: Key }): string {
  return typeof key === "string" ? shown(key) : `base64:${base64(key)}`;
}

function jsonLine({ key, value, ...rest }: ListedItem): string {
  const text = textOf(value);
  return JSON.stringify({
    ...(typeof key === "string" ? { key } : { key: base64(key), keyEncoding: "base64" }),
    ...(text === null ? { value: base64(value), encoding: "base64" } : { value: text }),
    ...rest,
  });
}

function base64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

function textOf(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

function keyOf({ operands }: Arguments): string {
  const [key = ""] = operands;
  if (key === "") throw new BadConfiguration("KEY takes at least one character");
  if (key === "." || key === "..") {
    throw new BadConfiguration(`KEY takes a name that a URL can spell, which ${key} is not`);
  }
  return key;
}

function readFlags(): Readonly<Record<"consistency" | "maxStale", FlagSpec>> {
  return {
    consistency: { takes: "linearizable, lease or stale" },
    maxStale: { takes: "a duration, such as 500ms" },
  };
}

function readOptions(args: Arguments): ReadOptions {
  const specs = readFlags();
  const levels = v.picklist(["linearizable", "lease", "stale"]);
  const consistency = readFlag(args, "consistency", specs.consistency, levels);
  const maxStaleMs = readFlag(args, "maxStale", specs.maxStale, durationSchema(0, 86_400_000));
  if (maxStaleMs !== undefined && consistency !== "stale") {
    throw new BadConfiguration("--max-stale takes effect with --consistency stale only");
  }
  return {
    ...(consistency === undefined ? {} : { consistency }),
    ...(maxStaleMs === undefined ? {} : { maxStaleMs }),
  };
}

async function readValue(
  { operands, flags }: Arguments,
): Promise<{ readonly value: Uint8Array; readonly type: string }> {
  const [, value] = operands;
  const { file } = flags;
  if ((value === undefined) === (file === undefined)) {
    throw new BadConfiguration("put takes either VALUE (- for standard input) or --file");
  }
  if (file !== undefined) {
    if (isDirectory(file)) {
      throw new BadConfiguration(`--file takes a file, not a directory: ${file}`);
    }
    const bytes = await readFile(file).catch((error: Error) => {
      throw new BadConfiguration(`--file takes a file that can be read: ${error.message}`);
    });
    return { value: bytes, type: contentTypeOf(file) };
  }
  if (value === "-") return { value: await readStandardInput(), type: BINARY_TYPE };
  return { value: new TextEncoder().encode(value), type: TEXT_TYPE };
}

async function readStandardInput(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) {
    chunks.push(typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk);
  }
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}
