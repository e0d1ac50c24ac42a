/** `leader`: who it is, and handing leadership over. */
import { BadConfiguration } from "../errors.ts";
import { idSchema } from "../config/options.ts";
import type { Arguments } from "./arguments.ts";
import {
  clientFlags,
  clientFrom,
  clientHelp,
  type Command,
  connectOptions,
  idOperand,
  readOperand,
  refusedAs,
} from "./command.ts";
import { leaderStatus } from "./leader-status.ts";
import { exit, printAnswer, shown, tell } from "./output.ts";

/** `leader`. */
export const leader: Command = {
  summary: "show who leads, or hand leadership over",
  help: `holdfast leader
holdfast leader transfer [ID]

Shows who leads and in which term; or hands leadership to ID, or without one to the voter that
needs the least. Writes are refused for a moment while it changes hands, as not applied.
${clientHelp}

Exit status: 0 done, 1 ID is no voter, 2 wrong command line, 5 no leader is known, or nobody took
over, 6 it isn't known whether anybody took over, 7 refused.
`,
  syntax: { flags: clientFlags, operands: ["[ACTION]", "[ID]"] },
  run: async (args) => {
    const [action] = args.operands;
    if (action === undefined) return await showLeader(args);
    if (action !== "transfer") throw new BadConfiguration("leader takes transfer, or nothing");
    const id = args.operands[1] === undefined ? null : readOperand(args, idOperand, idSchema);
    return await refusedAs(args, "leader", exit.no, async () => {
      const leader = await clientFrom(args).transferLeadership(id);
      await printAnswer(args, { leader }, `${shown(leader)} leads\n`);
      return exit.done;
    });
  },
};

async function showLeader(args: Arguments): Promise<number> {
  const status = await leaderStatus(connectOptions(args, 3_000));
  const { leader, term, members } = status ?? { leader: null, term: 0, members: [] };
  if (leader === null) {
    const code = status === null ? "unreachable" : "no_leader";
    tell(args, "leader", "no node that answers knows a leader", { code });
    return exit.unavailable;
  }
  const url = members.find(({ id }) => id === leader)?.url ?? "";
  await printAnswer(
    args,
    { leader, term },
    `${shown(`${leader} leads in term ${term}, at ${url}`)}\n`,
  );
  return exit.done;
}
