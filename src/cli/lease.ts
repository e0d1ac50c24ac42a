/** `lease`: time that keys can be tied to. */
import { durationSchema } from "../config/options.ts";
import { BadConfiguration } from "../errors.ts";
import { LeaseListAnswer, type LeaseStatus } from "../http/wire.ts";
import type { Arguments, FlagSpec } from "./arguments.ts";
import {
  actionOf,
  type Actions,
  clientFlags,
  clientFrom,
  clientHelp,
  type Command,
  type OperandSpec,
  readFlag,
  readOperand,
  refusedAs,
} from "./command.ts";
import { pages } from "./documents.ts";
import { leaseIdSchema, shownKey, TTL_MS_MAX } from "./keys.ts";
import { exit, printAnswer, tell } from "./output.ts";

const ttl: FlagSpec = { takes: "a duration, such as 30s" };
const idOperand: OperandSpec = {
  at: 1,
  name: "ID",
  takes: "a lease's id, which lease grant prints",
};

/** `lease`. */
export const lease: Command = {
  summary: "grant, keep alive, revoke, show or list leases",
  help: `holdfast lease grant --ttl T
holdfast lease keepalive ID
holdfast lease revoke ID
holdfast lease show ID
holdfast lease list

grant prints the id of a new lease. It ends T after it was granted or last kept alive, or when it
is revoked, and with it go all keys that were put with --lease ID, in one revision. A lease alone
is no lock: see holdfast help lock.

  --ttl T            how long it lasts, such as 30s, 12h, 7d${clientHelp}

Exit status: 0 done, 1 there is no such lease (any more), 2 wrong command line, 5 no node could
serve it (nothing was changed), 6 the outcome is unknown, 7 refused.
`,
  syntax: { flags: { ttl, ...clientFlags }, operands: ["ACTION", "[ID]"] },
  run: (args) => {
    const run = actionOf(args, "lease", actions);
    return refusedAs(args, "lease", exit.no, () => run(args));
  },
};

const actions: Actions = {
  grant: async (args) => {
    checkUse(args, "grant", 1);
    const ttlMs = readFlag(args, "ttl", ttl, durationSchema(1, TTL_MS_MAX));
    if (ttlMs === undefined) throw new BadConfiguration("--ttl is missing; see --help");
    const answer = await clientFrom(args).grantLease({ ttlMs });
    await printAnswer(args, answer, `${answer.id}\n`);
    return exit.done;
  },

  keepalive: async (args) => {
    checkUse(args, "keepalive", 2);
    const answer = await clientFrom(args).keepLease(readId(args));
    await printAnswer(args, answer, `${answer.id} ends in ${answer.ttlMs} ms\n`);
    return exit.done;
  },

  revoke: async (args) => {
    checkUse(args, "revoke", 2);
    const answer = await clientFrom(args).revokeLease(readId(args));
    const { revision, deleted } = answer;
    await printAnswer(args, answer, `revoked, deleted ${deleted}: revision ${revision}\n`);
    return exit.done;
  },

  show: async (args) => {
    checkUse(args, "show", 2);
    const id = readId(args);
    const answer = await clientFrom(args).getLease(id);
    if (answer === null) {
      tell(args, "lease", `there is no lease ${id}, or it has ended`, { code: "not_found" });
      return exit.no;
    }
    const keys = answer.keys.map((key) => `${shownKey(key)}\n`);
    const more = answer.keyCount - keys.length;
    await printAnswer(
      args,
      answer,
      `${leaseLine(answer)}\n${keys.join("")}${more > 0 ? `and ${more} more keys\n` : ""}`,
    );
    return exit.done;
  },

  list: async (args) => {
    checkUse(args, "list", 1);
    const leases: LeaseStatus[] = [];
    for await (const page of pages(args, { target: "/v1/leases", shape: LeaseListAnswer })) {
      leases.push(...page.leases);
    }
    const lines = leases.map((each) => `${leaseLine(each)}\n`);
    await printAnswer(args, { leases }, lines.join(""));
    return exit.done;
  },
};

function leaseLine({ id, ttlMs, remainingMs }: LeaseStatus): string {
  return `${id}\tends in ${remainingMs} ms of ${ttlMs} ms`;
}

const readId = (args: Arguments): string => readOperand(args, idOperand, leaseIdSchema);

/** @throws {BadConfiguration} where an action is given what it doesn't take. */
function checkUse({ operands, flags }: Arguments, action: string, takes: number): void {
  const extra = operands[takes];
  if (extra !== undefined) {
    throw new BadConfiguration(`lease ${action}: ${JSON.stringify(extra)} is one word too many`);
  }
  if (action !== "grant" && flags["ttl"] !== undefined) {
    throw new BadConfiguration(`lease ${action} takes no --ttl`);
  }
}
