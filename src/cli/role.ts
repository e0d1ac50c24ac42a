/** `role`: what tokens may do. */
import * as v from "valibot";
import { BadConfiguration } from "../errors.ts";
import {
  AccessGoneAnswer,
  type GrantFields,
  RoleAnswer,
  RoleListAnswer,
  RoleRequest,
} from "../http/wire.ts";
import { verbs as allVerbs } from "../kv/access/grant.ts";
import type { Arguments, FlagSpec } from "./arguments.ts";
import {
  actionOf,
  type Actions,
  clientFlags,
  clientHelp,
  type Command,
  type OperandSpec,
  readFlag,
  readOperand,
} from "./command.ts";
import { ask } from "./documents.ts";
import { grantLine } from "./grants.ts";
import { readFileOf, readStandardInput } from "./input.ts";
import { rangeFlags, readRange } from "./keys.ts";
import { exit, printAnswer } from "./output.ts";

const verbs: FlagSpec = { takes: `some of ${allVerbs.join(",")}, with commas between` };
const verbsSchema = v.pipe(
  v.string(),
  v.transform((text) => text.split(",")),
  v.array(v.picklist(allVerbs)),
);
const key: FlagSpec = { takes: "a key" };
const grants: FlagSpec = { takes: "a file with grants in JSON, or - for standard input" };
const bare = { takes: "", bare: true } as const;
const setFlags = ["verbs", "key", "grants", "add", "none", ...Object.keys(rangeFlags)];
const nameOperand: OperandSpec = { at: 1, name: "NAME", takes: "1 to 64 of A-Z a-z 0-9 . _ -" };
const nameSchema = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,64}$/));

/** `role`. */
export const role: Command = {
  summary: "set, list or delete roles",
  help: `holdfast role set NAME --verbs V,… [--prefix P | --key K | --start K --end K] [--add]
holdfast role set NAME --grants FILE
holdfast role set NAME --none
holdfast role list
holdfast role delete NAME

set says what a role grants, from then on, to all tokens that have it: these verbs, on these keys,
or on all where none are named. Verbs: read, write (put, delete), watch, lease (grant, keep alive,
show, revoke; put a key under one), member (members and leadership), backup, metrics. delete takes
a role that no token has.

  --verbs V,…        what is granted, such as read,write
  --prefix P         on keys that begin with it
  --key K            on one key
  --start K, --end K on keys from --start up to --end, which is left out
  --add              beside what the role grants already
  --grants FILE      all grants, as GET /v1/access/roles has them ([{"verbs":["read"],"prefix":"a/"}]);
                     - is standard input
  --none             nothing any more${clientHelp}

Exit status: 0 done, 1 there is no such role, or tokens have it, 2 wrong command line, 5 no node
could serve it (nothing was changed), 6 the outcome is unknown, 7 refused.
`,
  syntax: {
    flags: { verbs, key, grants, add: bare, none: bare, ...rangeFlags, ...clientFlags },
    operands: ["ACTION", "[NAME]"],
  },
  run: (args) => actionOf(args, "role", actions)(args),
};

const actions: Actions = {
  set: async (args) => {
    checkUse(args, "set", 2);
    const name = readOperand(args, nameOperand, nameSchema);
    const given = await readGrants(args);
    const before = args.flags["add"] === undefined ? [] : await grantsOf(args, name);
    const answer = await ask(args, {
      method: "PUT",
      target: `/v1/access/roles/${name}`,
      document: { grants: [...before, ...given] },
      kind: "keyedWrite",
      shape: RoleAnswer,
    });
    await printAnswer(args, answer, roleLines(answer));
    return exit.done;
  },

  list: async (args) => {
    checkUse(args, "list", 1);
    const answer = await listed(args);
    await printAnswer(args, answer, answer.roles.map(roleLines).join(""));
    return exit.done;
  },

  delete: async (args) => {
    checkUse(args, "delete", 2);
    const name = readOperand(args, nameOperand, nameSchema);
    const answer = await ask(args, {
      method: "DELETE",
      target: `/v1/access/roles/${name}`,
      kind: "keyedWrite",
      shape: AccessGoneAnswer,
    });
    await printAnswer(args, answer, `deleted ${answer.deleted}\n`);
    return exit.done;
  },
};

function listed(args: Arguments): Promise<RoleListAnswer> {
  const target = "/v1/access/roles";
  return ask(args, { method: "GET", target, kind: "read", shape: RoleListAnswer });
}

async function grantsOf(args: Arguments, name: string): Promise<readonly GrantFields[]> {
  const { roles } = await listed(args);
  return roles.find((each) => each.name === name)?.grants ?? [];
}

/** @throws {BadConfiguration} */
async function readGrants(args: Arguments): Promise<readonly GrantFields[]> {
  const { flags } = args;
  const ways = ["verbs", "grants", "none"].filter((name) => flags[name] !== undefined);
  const ranges = ["key", ...Object.keys(rangeFlags)].filter((name) => flags[name] !== undefined);
  if (ways.length !== 1) throw new BadConfiguration("role set takes --verbs, --grants or --none");
  if (ways[0] !== "verbs") {
    if (ranges.length > 0) throw new BadConfiguration(`--${ranges[0]} goes with --verbs only`);
    return flags["grants"] === undefined ? [] : await readFileOfGrants(flags["grants"]);
  }
  if (flags["key"] !== undefined && ranges.length > 1) {
    throw new BadConfiguration("--key and --prefix, --start or --end exclude each other");
  }
  const given = readFlag(args, "verbs", verbs, verbsSchema) ?? [];
  const on = flags["key"] === undefined ? readRange(args) : { key: flags["key"] };
  return [{ verbs: given, ...on }];
}

async function readFileOfGrants(path: string): Promise<readonly GrantFields[]> {
  const bytes = path === "-" ? await readStandardInput() : await readFileOf("--grants", path);
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new BadConfiguration(`--grants takes JSON: ${why}`);
  }
  const result = v.safeParse(RoleRequest, { grants: document });
  if (result.success) return result.output.grants;
  throw new BadConfiguration(`--grants takes a list of grants: ${result.issues[0].message}`);
}

function roleLines({ name, grants: given }: RoleAnswer): string {
  if (given.length === 0) return `${name}\tnothing\n`;
  return given.map((grant) => `${name}\t${grantLine(grant)}\n`).join("");
}

/** @throws {BadConfiguration} where an action is given what it doesn't take. */
function checkUse({ operands, flags }: Arguments, action: string, takes: number): void {
  const extra = operands[takes];
  if (extra !== undefined) {
    throw new BadConfiguration(`role ${action}: ${JSON.stringify(extra)} is one word too many`);
  }
  const wrong = setFlags.find((name) => action !== "set" && flags[name] !== undefined);
  if (wrong !== undefined) throw new BadConfiguration(`role ${action} takes no --${wrong}`);
}
