/** `wal`: what stands in the log of a node that is not running, and whether it is sound. */
import { NodeFileSystem } from "../adapters/node-fs.ts";
import {
  type InspectedFrame,
  type InspectedSegment,
  inspectSegment,
  judgeWal,
  segmentNames,
} from "../adapters/wal-inspect.ts";
import type { WalLog } from "../adapters/wal-log.ts";
import { CORRUPTION_ADVICE } from "../adapters/wal-recovery.ts";
import { countSchema } from "../config/options.ts";
import { BadConfiguration, type CorruptData } from "../errors.ts";
import { entryShown } from "../http/log-shown.ts";
import type { Entry } from "../raft/types.ts";
import type { Arguments, FlagSpec } from "./arguments.ts";
import { type Command, readFlag } from "./command.ts";
import { partOf, tellOfRunning } from "./data-files.ts";
import { exit, jsonFlag, print, printAnswer, shown, tell, wantsJson } from "./output.ts";

const LIMIT_DEFAULT = 100;
/** Larger values are told by their size. */
const VALUE_BYTES_MAX = 128;
const COMMAND_CHARACTERS_MAX = 160;

const UNTRIED =
  "nothing was changed; at its next start the node mends it with what other voters have, " +
  "and says what to do where it can't";

const from: FlagSpec = { takes: "an index, such as 1" };
const limit: FlagSpec = { takes: "a number of entries, such as 100" };

/** `wal`. */
export const wal: Command = {
  summary: "look into a stopped node's log, and check it",
  help: `holdfast wal inspect DIR [--from N] [--limit N]
holdfast wal verify DIR

Reads the log in DIR, a node's data directory or a copy of it, and changes nothing. inspect prints
its segments and entries, in the order in which they were written: also what was replaced later;
then what the log is, or where it is damaged. verify prints the last of this alone. A tail that was
torn when the node ended is no damage.

  --from N           entries from this index on (default 1)
  --limit N          entries at most (default ${LIMIT_DEFAULT})
  --json             print it as JSON, and an error as one JSON line on standard error

Exit status: 0 it is sound, 1 it is damaged: the first damage is told with its file and offset, 2
wrong command line, or there is no log in DIR, 7 it can't be read.
`,
  syntax: { flags: { from, limit, json: jsonFlag }, operands: ["ACTION", "DIR"] },
  run: async (args) => {
    const [action = "", directory = ""] = args.operands;
    if (action !== "inspect" && action !== "verify") {
      throw new BadConfiguration(`wal takes inspect or verify; got ${JSON.stringify(action)}`);
    }
    const path = partOf(directory, "wal");
    const fs = new NodeFileSystem();
    const names = await segmentNames(fs, path);
    if (names.length === 0) {
      throw new BadConfiguration(`DIR takes a directory with a log in it; got ${shown(directory)}`);
    }
    const running = tellOfRunning(args, path);
    const found = action === "inspect" ? await inspect(args, { fs, path, names }) : null;
    const judged = await judgeWal(fs, path);
    const verdict = { running, ...verdictOf(judged) };
    const text = found === null ? "" : "\n";
    await printAnswer(args, { ...found, ...verdict }, text + verdictText(judged));
    if (judged.damage === null) return exit.done;
    if (!wantsJson(args)) tell(args, "wal", detailOf(judged.damage));
    return exit.no;
  },
};

interface Site {
  readonly fs: NodeFileSystem;
  readonly path: string;
  readonly names: readonly string[];
}

/** Prints segments and entries, or with `--json` gathers them. */
async function inspect(args: Arguments, { fs, path, names }: Site): Promise<object> {
  const first = readFlag(args, "from", from, countSchema(1, Number.MAX_SAFE_INTEGER)) ?? 1;
  let left = readFlag(args, "limit", limit, countSchema(0, 1_000_000)) ?? LIMIT_DEFAULT;
  const isJson = wantsJson(args);
  const segments: object[] = [];
  const entries: object[] = [];
  for (const name of names) {
    const segment = await inspectSegment(fs, path, name);
    segments.push(segmentDocument(segment));
    if (!isJson) await print(segmentLine(segment));
    for (const frame of segment.frames) {
      const chosen = frame.entries.filter(({ index }) => index >= first).slice(0, left);
      left -= chosen.length;
      if (isJson) {
        for (const entry of chosen) {
          entries.push({ ...entryOf(entry), segment: name, offset: frame.offset });
        }
        continue;
      }
      if (frame.cutTo !== null) await print(`  cut back to ${frame.cutTo}\n`);
      await print(chosen.map((entry) => entryLine(frame, entry)).join(""));
    }
  }
  return { segments, entries };
}

function segmentDocument({ name, bytes, begins, frames, end }: InspectedSegment): object {
  const entries = frames.flatMap((frame) => frame.entries);
  return {
    name,
    bytes,
    begins: begins === null ? null : { ...begins.hardState, behind: begins.last.index },
    frames: frames.length,
    entries: entries.length,
    firstIndex: entries[0]?.index ?? null,
    lastIndex: entries.at(-1)?.index ?? null,
    end,
  };
}

function segmentLine(segment: InspectedSegment): string {
  const { name, bytes, begins, frames, end } = segment;
  if (begins === null) return `${name}\t${bytes} bytes\tits header is damaged\n`;
  const { term, vote, commit } = begins.hardState;
  const count = frames.reduce((sum, { entries }) => sum + entries.length, 0);
  const promised = `term ${term}, vote ${vote ?? "none"}, commit ${commit}`;
  return `${name}\t${bytes} bytes, ${end} in use\t${frames.length} frames, ${count} entries behind ` +
    `${begins.last.index}\t${promised}\n`;
}

function entryOf(entry: Entry): object {
  return entryShown(entry, VALUE_BYTES_MAX);
}

/** Offset, index, term, kind, size and what it says. */
function entryLine({ offset }: InspectedFrame, entry: Entry): string {
  const { index, term, kind, size, ...rest } = { size: 0, ...entry, ...entryOf(entry) };
  const { command, configuration } = { command: null, configuration: null, ...rest };
  const said = command ?? configuration;
  const text = said === null ? "" : JSON.stringify(said);
  const short = text.length > COMMAND_CHARACTERS_MAX
    ? `${text.slice(0, COMMAND_CHARACTERS_MAX)}…`
    : text;
  return `  ${[`@${offset}`, index, term, kind, `${size} bytes`, shown(short)].join("\t")}\n`;
}

interface Judged {
  readonly log: WalLog | null;
  readonly damage: CorruptData | null;
}

function verdictOf({ log, damage }: Judged): object {
  return {
    sound: damage === null,
    log: log === null ? null : logDocument(log),
    damage: damage === null
      ? null
      : { file: damage.file, offset: damage.offset, detail: detailOf(damage) },
  };
}

/** The advice is for a node that could not mend it; this one has not tried. */
function detailOf({ message }: CorruptData): string {
  return message.replace(CORRUPTION_ADVICE, UNTRIED);
}

function logDocument(log: WalLog): object {
  const { term, vote, commit } = log.hardState;
  const { start, last } = log;
  return {
    firstIndex: start.index + 1,
    lastIndex: last.index,
    lastTerm: last.term,
    term,
    vote,
    commit,
  };
}

function verdictText({ log }: Judged): string {
  if (log === null) return "";
  const { term, vote, commit } = log.hardState;
  const { start, last } = log;
  return `sound: entries ${start.index + 1} to ${last.index}, the last of term ${last.term}; ` +
    `term ${term}, vote ${vote ?? "none"}, commit ${commit}\n`;
}
