/** `status`: the cluster as each of its nodes sees it. */
import { ClientError, connect, type ConnectOptions, type StatusAnswer } from "../client/mod.ts";
import { clientFlags, clientHelp, type Command, connectOptions } from "./command.ts";
import { changeLine } from "./member.ts";
import { exit, printAnswer, shown } from "./output.ts";

type Seen =
  | { readonly url: string; readonly status: StatusAnswer }
  | { readonly url: string; readonly error: string };

/** `status`. */
export const status: Command = {
  summary: "show who leads, and how far each node is",
  help: `holdfast status

Asks the endpoints, and the members that they name, and prints a line for each; and one about a
change of members that is under way. VERSION is a node's release, and in brackets the cluster's
version as that node knows it: what all members know. It rises by itself once the last one is upgraded.

With --json: an array with what each node answered.
${clientHelp}

Exit status: 0 a majority of the members answered and agrees on a leader, 2 wrong command line, 5 otherwise.
`,
  syntax: { flags: clientFlags, operands: [] },
  run: async (args) => {
    const seen = await lookAround(connectOptions(args, 3_000));
    await printAnswer(args, seen, table(seen));
    return isWell(seen) ? exit.done : exit.unavailable;
  },
};

/** Asks all at once, then those that they name beside. */
async function lookAround(options: ConnectOptions): Promise<Seen[]> {
  const { endpoints } = options;
  const client = connect(options);
  const look = async (url: string): Promise<Seen> => {
    try {
      return { url, status: await client.status(url) };
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      return { url, error: error.message.replace(`${url}: `, "") };
    }
  };
  const first = await Promise.all(endpoints.map(look));
  const asked = new Set(endpoints);
  const seenIds = new Set(first.flatMap((one) => ("status" in one ? [one.status.id] : [])));
  const others = new Map(
    first.flatMap((one) => ("status" in one ? one.status.members : []))
      .filter(({ id, url }) => !seenIds.has(id) && !asked.has(url))
      .map(({ id, url }) => [id, url]),
  );
  const second = await Promise.all([...others.values()].map(look));
  // What answers nowhere and belongs to no member is only noise beside nodes that do answer.
  const members = new Set(
    first.flatMap((one) => ("status" in one ? one.status.members.map(({ url }) => url) : [])),
  );
  return [...first, ...second].filter((one) =>
    "status" in one || members.size === 0 || members.has(one.url)
  );
}

function isWell(seen: readonly Seen[]): boolean {
  const answers = seen.flatMap((one) => ("status" in one ? [one.status] : []));
  const voters = answers[0]?.members.filter(({ voter }) => voter) ?? [];
  return voters.some(({ id }) =>
    answers.filter(({ leader }) => leader === id).length * 2 > voters.length
  );
}

function table(seen: readonly Seen[]): string {
  const numbered = ["COMMIT", "APPLIED", "LOG", "SNAPSHOT", "REVISION"];
  const head = ["ID", "ROLE", "TERM", "LEADER", "MEMBER", ...numbered];
  const rows = seen.map((one) => {
    if (!("status" in one)) {
      return [
        "-",
        one.error,
        ...head.slice(2).map(() => ""),
        "",
        "",
        one.url,
      ];
    }
    const { id, role, term, leader, commit, applied, lastLog, snapshot, revision, runtime } =
      one.status;
    const { version, clusterVersion = 1 } = one.status;
    const release = `${version} (${clusterVersion})`;
    const numbers = [commit, applied, lastLog, snapshot, revision].map(String);
    const own = one.status.members.find((each) => each.id === id);
    const kind = own === undefined ? "-" : own.voter ? "voter" : "learner";
    return [id, role, String(term), leader ?? "-", kind, ...numbers, release, runtime, one.url];
  });
  const lines = [[...head, "VERSION", "RUNTIME", "URL"], ...rows];
  // An error's text stands in the way of nobody's columns.
  const measured = lines.filter((line) => line[0] !== "-");
  const widths = head.concat("", "", "").map((_, column) =>
    Math.max(...measured.map((line) => line[column]?.length ?? 0))
  );
  const text = lines.map((line) => {
    if (line[0] === "-") return `-  ${line.at(-1)}: ${shown(line[1] ?? "")}\n`;
    return `${
      line.map((cell, column) => shown(cell).padEnd(widths[column] ?? 0)).join("  ").trimEnd()
    }\n`;
  }).join("");
  const change = changeIn(seen);
  return change === null ? text : `${text}${shown(changeLine(change))}\n`;
}

/** The change under way, as the node in the latest term knows it that has most of the log. */
function changeIn(seen: readonly Seen[]): NonNullable<StatusAnswer["change"]> | null {
  const answers = seen.flatMap((one) => ("status" in one ? [one.status] : []));
  const best = answers.toSorted((a, b) => b.term - a.term || b.lastLog - a.lastLog)[0];
  return best?.change ?? null;
}
