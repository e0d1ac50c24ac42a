/** `get`, `list`. */
import { writeFile } from "node:fs/promises";
import type { Client, ListOptions, Page } from "../client/mod.ts";
import { countSchema } from "../config/options.ts";
import { BadConfiguration } from "../errors.ts";
import type { Arguments, FlagSpec } from "./arguments.ts";
import { clientFlags, clientFrom, clientHelp, type Command, readFlag } from "./command.ts";
import {
  itemDocument,
  itemLine,
  keyOf,
  keysStatusHelp,
  rangeFlags,
  readFlags,
  readHelp,
  readOptions,
  readRange,
  shownKey,
} from "./keys.ts";
import { exit, print, tell, wantsJson } from "./output.ts";

const bare: FlagSpec = { takes: "", bare: true };

/** `get`. */
export const get: Command = {
  summary: "read a value, byte for byte",
  help: `holdfast get KEY [--output FILE]

With --json: the whole item, with its revisions, its metadata and its lease; where it is not text,
"encoding":"base64" says that the value is base64.

  --output FILE      write to a file, not to standard output${readHelp}${clientHelp}
${keysStatusHelp}`,
  syntax: {
    flags: { output: { takes: "a file's path" }, ...readFlags, ...clientFlags },
    operands: ["KEY"],
  },
  run: async (args) => {
    const key = keyOf(args);
    const { output } = args.flags;
    if (wantsJson(args)) {
      if (output === undefined) return await getItem(args, key);
      throw new BadConfiguration("--json and --output exclude each other");
    }
    const item = await clientFrom(args).get(key, readOptions(args));
    if (item === null) return absent(args, key);
    if (output === undefined) await print(item.value);
    else await writeFile(output, item.value);
    return exit.done;
  },
};

/** All that there is about a key is in a listing of it alone. */
async function getItem(args: Arguments, key: string): Promise<number> {
  const range = { start: key, end: `${key}\0`, limit: 1 };
  const { items: [item] } = await clientFrom(args).list({ ...readOptions(args), ...range });
  if (item === undefined) return absent(args, key);
  await print(`${JSON.stringify(itemDocument(item))}\n`);
  return exit.done;
}

function absent(args: Arguments, key: string): number {
  tell(args, "get", `${key} is absent`, { code: "not_found" });
  return exit.no;
}

const PAGE_ITEMS = 1000;
const limit: FlagSpec = { takes: "a number of at least 1" };

/** `list`. */
export const list: Command = {
  summary: "list keys in order",
  help: `holdfast list [--prefix PREFIX]

A line for each key: key, revision, size in bytes, content type, with tabs between. However long
it is, all of it is as the store was at one revision. With --json: {"revision","items"}, an item
a line; "encoding":"base64" says of an item that its value is base64.

  --prefix P         keys that begin so
  --start K, --end K keys from K on, and before K
  --limit N          N keys at most (default: all)
  --reverse          from the last key to the first
  --keys-only        nothing but keys${readHelp}${clientHelp}
${keysStatusHelp}`,
  syntax: {
    flags: { ...rangeFlags, limit, reverse: bare, keysOnly: bare, ...readFlags, ...clientFlags },
    operands: [],
  },
  run: async (args) => {
    const { reverse, keysOnly } = args.flags;
    const left = readFlag(args, "limit", limit, countSchema(1, Number.MAX_SAFE_INTEGER));
    const options: ListOptions = {
      ...readOptions(args),
      ...readRange(args),
      ...(reverse === undefined ? {} : { reverse: true }),
      ...(keysOnly === undefined ? {} : { keysOnly: true }),
    };
    const pages = pagesOf(clientFrom(args), options, left ?? Infinity);
    await (wantsJson(args) ? printDocument(pages, args) : printLines(pages, args));
    return exit.done;
  },
};

/** The cursor keeps all pages at the first one's revision. */
async function* pagesOf(client: Client, options: ListOptions, limit: number): AsyncGenerator<Page> {
  let cursor: string | null = null;
  let left = limit;
  do {
    const page: Page = await client.list({
      ...options,
      limit: Math.min(left, PAGE_ITEMS),
      ...(cursor === null ? {} : { cursor }),
    });
    yield page;
    left -= page.items.length;
    cursor = page.cursor;
  } while (cursor !== null && left > 0);
}

async function printLines(pages: AsyncIterable<Page>, { flags }: Arguments): Promise<void> {
  const keysOnly = flags["keysOnly"] !== undefined;
  for await (const { items } of pages) {
    await print(
      items.map((item) => `${keysOnly ? shownKey(item.key) : itemLine(item)}\n`).join(""),
    );
  }
}

/** One document, however many pages it takes: they are printed as they come. */
async function printDocument(pages: AsyncIterable<Page>, { flags }: Arguments): Promise<void> {
  const keysOnly = flags["keysOnly"] !== undefined;
  let isFirst = true;
  for await (const { revision, items } of pages) {
    const lines = items.map((item) => {
      const { value, encoding, ...rest } = itemDocument(item);
      return JSON.stringify(keysOnly ? rest : { ...rest, value, encoding });
    });
    const before = isFirst ? `{"revision":${revision},"items":[` : ",";
    await print(`${before}\n${lines.join(",\n")}`);
    isFirst = false;
  }
  await print("\n]}\n");
}
