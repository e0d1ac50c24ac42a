/** `member`: who takes part, and changing it. Every request may be repeated: what is already so is no error. */
import * as v from "valibot";
import type {
  ChangeResult,
  Client,
  ConnectOptions,
  MemberAnswer,
  MembersAnswer,
} from "../client/mod.ts";
import { memberUrlSchema } from "../config/member-url.ts";
import { durationSchema, idSchema } from "../config/options.ts";
import { BadConfiguration } from "../errors.ts";
import type { Arguments, FlagSpec } from "./arguments.ts";
import {
  actionOf,
  type Actions,
  clientFlags,
  clientFrom,
  clientHelp,
  type Command,
  connectOptions,
  idOperand,
  type OperandSpec,
  readFlag,
  readOperand,
  refusedAs,
} from "./command.ts";
import { leaderStatus } from "./leader-status.ts";
import { Progress, untilOver } from "./member-progress.ts";
import { exit, print, printAnswer, shown, tell, wantsJson } from "./output.ts";

const WAIT_DEFAULT_MS = 60_000;
const LOOK_TIMEOUT_MS = 3_000;

const bare: FlagSpec = { takes: "", bare: true };
const successor: FlagSpec = { takes: "ID=URL, such as n4=http://10.0.0.4:4001" };
const urlOperand: OperandSpec = {
  at: 2,
  name: "URL",
  takes: "a URL without a query and not link-local, such as http://10.0.0.4:4001",
};
const wait: FlagSpec = { takes: "a duration, such as 60s, or 0" };

const successorSchema = v.pipe(
  v.string(),
  v.regex(/=/),
  v.transform((text) => {
    const equals = text.indexOf("=");
    return { id: text.slice(0, equals), url: text.slice(equals + 1) };
  }),
  v.object({ id: idSchema, url: memberUrlSchema }),
);

/** What a command asks for, how it is told when it is done, and what is missing where it ended otherwise. */
interface Change {
  readonly send: (client: Client) => Promise<ChangeResult>;
  readonly done: string;
  readonly missing: (answer: MembersAnswer) => string | null;
}

/** `member`. */
export const member: Command = {
  summary: "list, add, remove, replace or promote members",
  help: `holdfast member list
holdfast member add ID URL [--learner]
holdfast member remove ID
holdfast member replace ID --with ID=URL
holdfast member promote ID

add takes a node in that runs and waits for it (node --join): a learner that gets the log and
becomes a voter once it has caught up, or stays a learner with --learner. remove takes one out;
its id never comes back. replace puts a new node in a member's place in one change, in the same
role, also where the member is dead. promote makes a learner a voter. To repeat any of them does
no harm.

  --learner          the new member never votes
  --with ID=URL      the successor
  --wait T           wait so long for the change to be over (default 60s; 0: don't); progress is
                     told on standard error
${clientHelp.slice(1)}
                     (of a change: the members, and whether it is over)

Exit status: 0 done (with --wait 0: begun), 1 refused, no such member, or the newcomer didn't
catch up and stays a learner, 2 wrong command line, 5 no node could serve it (nothing was
changed), 6 the change goes on, or its outcome is unknown, 7 something else failed.
`,
  syntax: {
    flags: { learner: bare, with: successor, wait, ...clientFlags },
    operands: ["ACTION", "[ID]", "[URL]"],
  },
  run: (args) => {
    const run = actionOf(args, "member", actions);
    return refusedAs(args, "member", exit.no, () => run(args));
  },
};

const actions: Actions = {
  list: async (args) => {
    checkUse(args, "list", { operands: 1, flags: [] });
    const answer = await clientFrom(args).members();
    await printAnswer(args, answer, wantsJson(args) ? "" : await table(answer, args));
    return exit.done;
  },

  add: async (args) => {
    checkUse(args, "add", { operands: 3, flags: ["learner", "wait"] });
    const id = readOperand(args, idOperand, idSchema);
    const url = readOperand(args, urlOperand, memberUrlSchema);
    return await make(args, addition({ id, url, voter: args.flags["learner"] === undefined }));
  },

  remove: async (args) => {
    checkUse(args, "remove", { operands: 2, flags: ["wait"] });
    const id = readOperand(args, idOperand, idSchema);
    return await make(args, {
      send: (client) => client.removeMember(id),
      done: `${id} is removed`,
      missing: (answer) => find(answer, id) === undefined ? null : `${id} is still a member`,
    });
  },

  replace: async (args) => {
    checkUse(args, "replace", { operands: 2, flags: ["with", "wait"] });
    const id = readOperand(args, idOperand, idSchema);
    const given = readFlag(args, "with", successor, successorSchema);
    if (given === undefined) throw new BadConfiguration("--with is missing; see --help");
    if (given.id === id) {
      throw new BadConfiguration(`--with takes a new id: ${id} doesn't come back`);
    }
    return await make(args, {
      send: (client) => client.addMember({ ...given, replaces: id }),
      done: `${given.id} has taken the place of ${id}`,
      missing: (now) =>
        find(now, id) === undefined && find(now, given.id) !== undefined
          ? null
          : `${given.id} didn't catch up and stays a learner, and ${id} stays: ` +
            "the same command tries again",
    });
  },

  promote: async (args) => {
    checkUse(args, "promote", { operands: 2, flags: ["wait"] });
    const id = readOperand(args, idOperand, idSchema);
    const known = find(await clientFrom(args).members(), id);
    if (known !== undefined) {
      return await make(args, addition({ id, url: known.url, voter: true }));
    }
    tell(args, "member", `${id} is not a member`, { code: "not_found" });
    return exit.no;
  },
};

function addition(
  wanted: { readonly id: string; readonly url: string; readonly voter: boolean },
): Change {
  const { id, voter } = wanted;
  return {
    send: (client) => client.addMember(wanted),
    done: voter ? `${id} votes` : `${id} is a learner`,
    missing: (answer) => {
      const found = find(answer, id);
      if (found === undefined) return `${id} is not a member`;
      if (found.voter || !voter) return null;
      return `${id} didn't catch up and stays a learner: \`member promote ${id}\` tries again`;
    },
  };
}

/** Sends a change and waits until it is over, or for as long as it was told to. */
async function make(args: Arguments, change: Change): Promise<number> {
  const client = clientFrom(args);
  const waitMs = readFlag(args, "wait", wait, waitSchema) ?? WAIT_DEFAULT_MS;
  const deadline = performance.now() + waitMs;
  const progress = new Progress(args, lookOptions(args));
  if (waitMs > 0) progress.start();
  try {
    const result = await change.send(client);
    const isJson = wantsJson(args);
    if (result.isOver && !isJson) {
      await print(`${shown(change.done)}\n`);
      return exit.done;
    }
    const answer = await untilOver(lookOptions(args), result.isOver ? 0 : deadline);
    progress.stop();
    const isOver = result.isOver || answer?.change === null;
    const missing = result.isOver || answer?.change !== null ? null : change.missing(answer);
    if (isJson) await print(`${JSON.stringify({ isOver, missing, ...answer })}\n`);
    if (!isOver) {
      tell(args, "member", "the change goes on; `member list` shows it", {
        code: "change_in_progress",
      });
      return waitMs === 0 ? exit.done : exit.unknown;
    }
    if (missing === null) {
      if (!isJson) await print(`${shown(change.done)}\n`);
      return exit.done;
    }
    tell(args, "member", missing, { code: "not_ready" });
    return exit.no;
  } finally {
    progress.stop();
  }
}

const waitSchema = v.union([
  v.pipe(v.literal("0"), v.transform(() => 0)),
  durationSchema(0, 86_400_000),
]);

/** @throws {BadConfiguration} where an action is given what only another one takes. */
function checkUse(
  { operands, flags }: Arguments,
  action: string,
  takes: { readonly operands: number; readonly flags: readonly string[] },
): void {
  const extra = operands[takes.operands];
  if (extra !== undefined) {
    throw new BadConfiguration(`member ${action}: ${JSON.stringify(extra)} is one word too many`);
  }
  const odd = ["learner", "with", "wait"].find((name) =>
    flags[name] !== undefined && !takes.flags.includes(name)
  );
  if (odd !== undefined) throw new BadConfiguration(`member ${action} takes no --${odd}`);
}

function find({ members }: MembersAnswer, id: string): MemberAnswer | undefined {
  return members.find((each) => each.id === id);
}

/** How the cluster is looked at. */
function lookOptions(args: Arguments): ConnectOptions {
  return { ...connectOptions(args, LOOK_TIMEOUT_MS), timeoutMs: LOOK_TIMEOUT_MS };
}

async function table({ members, change }: MembersAnswer, args: Arguments): Promise<string> {
  const status = await leaderStatus(lookOptions(args));
  const known = new Map(status?.members.map((each) => [each.id, each]));
  const lines = [["ID", "MEMBER", "MATCH", "LAG", "URL"]].concat(members.map((each) => {
    const { match, lagMs } = known.get(each.id) ?? each;
    const kind = each.voter ? "voter" : each.waiting === true ? "learner, catches up" : "learner";
    const leads = each.id === status?.leader ? `${kind}, leads` : kind;
    return [each.id, leads, `${match ?? "-"}`, lagMs === null ? "-" : `${lagMs} ms`, each.url];
  }));
  const widths = [0, 1, 2, 3].map((at) => Math.max(...lines.map((line) => line[at]?.length ?? 0)));
  const rows = lines.map((line) =>
    `${line.map((cell, at) => shown(cell).padEnd(widths[at] ?? 0)).join("  ").trimEnd()}\n`
  );
  return rows.join("") + (change === null ? "" : `${shown(changeLine(change))}\n`);
}

/** A line about a change under way. */
export function changeLine(change: NonNullable<MembersAnswer["change"]>): string {
  const { voters, learners } = change;
  const only = learners.length === 0 ? "" : `, learners ${learners.join(", ")}`;
  return `a change is under way, to voters ${voters.join(", ")}${only}`;
}
