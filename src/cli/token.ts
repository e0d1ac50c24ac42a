/** `token`: what clients are let in by. */
import * as v from "valibot";
import { credentials } from "../adapters/access-tokens.ts";
import { BadConfiguration } from "../errors.ts";
import {
  AccessGoneAnswer,
  NewTokenAnswer,
  SelfAnswer,
  type TokenAnswer,
  TokenListAnswer,
} from "../http/wire.ts";
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
} from "./command.ts";
import { ask } from "./documents.ts";
import { grantLine } from "./grants.ts";
import { exit, printAnswer } from "./output.ts";

const name = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,64}$/));
const roles: FlagSpec = { takes: "names of roles with commas between, such as app,watcher" };
const rolesSchema = v.pipe(v.string(), v.transform((text) => text.split(",")), v.array(name));
const nameOperand: OperandSpec = { at: 1, name: "NAME", takes: "1 to 64 of A-Z a-z 0-9 . _ -" };
const idOperand: OperandSpec = {
  at: 1,
  name: "ID",
  takes: "a token's id, which token list prints",
};
const idSchema = v.pipe(v.string(), v.regex(/^[a-z0-9]{8,32}$/));

/** `token`. */
export const token: Command = {
  summary: "create, list, delete, show or generate tokens",
  help: `holdfast token create NAME --roles R,…
holdfast token list
holdfast token delete ID
holdfast token show
holdfast token generate

create prints a new token, which nobody can ask for again; the role root may do everything, and
what others may, holdfast role set says. To replace a token, create another of the same NAME, hand
it out, and delete the first one: idempotency keys are the NAME's. A deleted token lets nobody in
from then on. show tells what the token that asks (--token) may do. generate asks nobody: it prints
a token for --root-token of a cluster that is to be started.

  --roles R,…        the roles of the new token${clientHelp}

Exit status: 0 done, 1 there is no such token or role, or it is the last of root's, 2 wrong command
line, 5 no node could serve it (nothing was changed), 6 the outcome is unknown, 7 refused.
`,
  syntax: { flags: { roles, ...clientFlags }, operands: ["ACTION", "[NAME|ID]"] },
  run: (args) => actionOf(args, "token", actions)(args),
};

const actions: Actions = {
  create: async (args) => {
    checkUse(args, "create", 2);
    const named = readOperand(args, nameOperand, name);
    const given = readFlag(args, "roles", roles, rolesSchema);
    if (given === undefined) throw new BadConfiguration("--roles is missing; see --help");
    const answer = await ask(args, {
      method: "POST",
      target: "/v1/access/tokens",
      document: { name: named, roles: given },
      // Another attempt would make another one.
      kind: "write",
      shape: NewTokenAnswer,
    });
    await printAnswer(args, answer, `${answer.token}\n`);
    return exit.done;
  },

  list: async (args) => {
    checkUse(args, "list", 1);
    const answer = await ask(args, {
      method: "GET",
      target: "/v1/access/tokens",
      kind: "read",
      shape: TokenListAnswer,
    });
    await printAnswer(args, answer, answer.tokens.map(tokenLine).join(""));
    return exit.done;
  },

  delete: async (args) => {
    checkUse(args, "delete", 2);
    const id = readOperand(args, idOperand, idSchema);
    const answer = await ask(args, {
      method: "DELETE",
      target: `/v1/access/tokens/${id}`,
      kind: "keyedWrite",
      shape: AccessGoneAnswer,
    });
    await printAnswer(args, answer, `deleted ${answer.deleted}\n`);
    return exit.done;
  },

  show: async (args) => {
    checkUse(args, "show", 1);
    const answer = await ask(args, {
      method: "GET",
      target: "/v1/access/self",
      kind: "read",
      shape: SelfAnswer,
    });
    const { token: own, grants, required } = answer;
    const who = own === null ? "no token\n" : tokenLine(own);
    const what = !required
      ? "nobody needs one: everybody may do everything\n"
      : own?.roles.includes("root") === true
      ? "everything\n"
      : grants.map((grant) => `${grantLine(grant)}\n`).join("");
    await printAnswer(args, answer, `${who}${what}`);
    return exit.done;
  },

  generate: async (args) => {
    checkUse(args, "generate", 1);
    // Whoever mistypes a flag is to hear of it, also where it has no effect.
    clientFrom(args);
    const { id, text } = credentials.draw();
    await printAnswer(args, { id, token: text }, `${text}\n`);
    return exit.done;
  },
};

function tokenLine({ id, name: named, roles: given }: TokenAnswer): string {
  return `${id}\t${named}\t${given.join(",")}\n`;
}

/** @throws {BadConfiguration} where an action is given what it doesn't take. */
function checkUse({ operands, flags }: Arguments, action: string, takes: number): void {
  const extra = operands[takes];
  if (extra !== undefined) {
    throw new BadConfiguration(`token ${action}: ${JSON.stringify(extra)} is one word too many`);
  }
  if (action !== "create" && flags["roles"] !== undefined) {
    throw new BadConfiguration(`token ${action} takes no --roles`);
  }
}
