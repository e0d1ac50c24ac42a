/** `leader`: who it is, and handing leadership over. */
import process from "node:process";
import { BadConfiguration } from "../errors.ts";
import { idSchema } from "../config/options.ts";
import {
  clientFlags,
  clientFrom,
  clientHelp,
  type Command,
  exit,
  idOperand,
  print,
  readEndpoints,
  readOperand,
  readTimeout,
  refusedAs,
  shown,
} from "./command.ts";
import { leaderStatus } from "./leader-status.ts";

/** `leader`. */
export const leader: Command = {
  summary: "show who leads, or hand leadership over",
  help: `holdfast leader
holdfast leader transfer [ID]

Shows who leads and in which term; or hands leadership to ID, or without one to the voter that
needs the least. Writes are refused for a moment while it changes hands, as not applied.

  --json             print the answer as JSON${clientHelp}

Exit status: 0 done, 1 ID is no voter, 2 wrong command line, 5 no leader is known, or nobody took
over, 6 it isn't known whether anybody took over, 7 refused.
`,
  syntax: {
    flags: { json: { takes: "", bare: true }, ...clientFlags },
    operands: ["[ACTION]", "[ID]"],
  },
  run: async (args) => {
    const [action] = args.operands;
    const isJson = args.flags["json"] !== undefined;
    if (action === undefined) {
      const status = await leaderStatus(readEndpoints(args), readTimeout(args, 3_000));
      const { leader, term, members } = status ?? { leader: null, term: 0, members: [] };
      if (isJson) await print(`${JSON.stringify({ leader, term })}\n`);
      const url = members.find(({ id }) => id === leader)?.url ?? "";
      if (!isJson && leader !== null) {
        await print(`${shown(`${leader} leads in term ${term}, at ${url}`)}\n`);
      }
      if (leader !== null) return exit.done;
      process.stderr.write("holdfast leader: no node that answers knows a leader\n");
      return exit.unavailable;
    }
    if (action !== "transfer") throw new BadConfiguration("leader takes transfer, or nothing");
    const id = args.operands[1] === undefined ? null : readOperand(args, idOperand, idSchema);
    return await refusedAs("leader", exit.no, async () => {
      const leader = await clientFrom(args).transferLeadership(id);
      await print(isJson ? `${JSON.stringify({ leader })}\n` : `${shown(leader)} leads\n`);
      return exit.done;
    });
  },
};
