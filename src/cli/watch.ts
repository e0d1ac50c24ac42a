/** `watch`: changes as they happen, each once and in order. */
import { type Change, ClientError, type WatchEvent, type WatchOptions } from "../client/mod.ts";
import { countSchema } from "../config/options.ts";
import { BadConfiguration } from "../errors.ts";
import type { Arguments, FlagSpec } from "./arguments.ts";
import { clientFlags, clientFrom, clientHelp, type Command, readFlag } from "./command.ts";
import { itemDocument, keyDocument, keyOf, rangeFlags, readRange, shownKey } from "./keys.ts";
import { exit, print, problemOf, shown, tell, wantsJson } from "./output.ts";
import { untilSignal } from "./signals.ts";

const from: FlagSpec = { takes: "a revision, such as 12" };
const count: FlagSpec = { takes: "a number of at least 1" };
const previous: FlagSpec = { takes: "", bare: true };

/** `watch`. */
export const watch: Command = {
  summary: "print changes as they happen, each once and in order",
  help: `holdfast watch [KEY]
holdfast watch --prefix PREFIX
holdfast watch --start K --end K

Prints a line for each change, of all keys unless told otherwise: put or delete, revision, key,
size in bytes and content type, with tabs between. It goes to another node where one dies, tries
until one answers, and misses and repeats nothing. A key that expires is deleted, too. Ctrl-C ends
it.

With --json a line is the item, with "event":"put" or "delete", and "more":true where another
event of the same revision follows.

  --prefix P         keys that begin so
  --start K, --end K keys from K on, and before K
  --from N           begin with revision N, as far back as history goes (default: what comes next)
  --previous         also tell what the key held before, in --json's "previous"
  --count N          end after N events${clientHelp}

Exit status: 0 ended by Ctrl-C, SIGTERM or --count, 2 wrong command line, 5 no node could serve
it, 7 refused, as where history no longer reaches back to --from.
`,
  syntax: {
    flags: { ...rangeFlags, from, previous, count, ...clientFlags },
    operands: ["[KEY]"],
  },
  run: async (args) => {
    const options = readWatch(args);
    let left = readFlag(args, "count", count, countSchema(1, Number.MAX_SAFE_INTEGER)) ?? Infinity;
    const signal = untilSignal();
    try {
      for await (const change of clientFrom(args).watch({ ...options, signal })) {
        const events = change.events.slice(0, left);
        await print(events.map((event) => lineOf(args, change, event)).join(""));
        left -= events.length;
        if (left === 0) break;
      }
    } catch (error) {
      if (signal.aborted) return exit.done;
      if (!(error instanceof ClientError) || error.code !== "compacted") throw error;
      const way = "list shows what there is, and --from goes on behind its revision";
      tell(args, "watch", `${error.message}; ${way}`, problemOf(error));
      return exit.failed;
    }
    return exit.done;
  },
};

/** @throws {BadConfiguration} */
function readWatch(args: Arguments): WatchOptions {
  const range = readRange(args);
  const [key] = args.operands;
  if (key !== undefined && Object.keys(range).length > 0) {
    throw new BadConfiguration("watch takes either KEY, or --prefix, or --start and --end");
  }
  const schema = countSchema(1, Number.MAX_SAFE_INTEGER);
  const first = readFlag(args, "from", from, schema);
  return {
    ...range,
    ...(key === undefined ? {} : { key: keyOf(args) }),
    ...(first === undefined ? {} : { from: first }),
    ...(args.flags["previous"] === undefined ? {} : { previous: true }),
  };
}

function lineOf(args: Arguments, { revision, events }: Change, event: WatchEvent): string {
  if (!wantsJson(args)) {
    const { type, key } = event;
    const what = `${type}\t${revision}\t${shownKey(key)}`;
    if (event.type === "delete") return `${what}\n`;
    return `${what}\t${event.item.value.length}\t${shown(event.item.contentType)}\n`;
  }
  const { previous } = event;
  return `${
    JSON.stringify({
      event: event.type,
      ...(event.type === "put" ? itemDocument(event.item) : keyDocument(event.key)),
      revision,
      ...(args.flags["previous"] === undefined
        ? {}
        : { previous: previous === null ? null : itemDocument(previous) }),
      ...(event === events.at(-1) ? {} : { more: true }),
    })
  }\n`;
}
