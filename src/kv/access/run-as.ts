/** Commands as tokens ask for them: what their roles don't allow, at its place in the log, changes nothing. */
import type { AsCommand, Command } from "../command.ts";
import type { KvResult } from "../result.ts";
import { decoded, malformed, run } from "../run.ts";
import type { State } from "../state.ts";
import { accessVersion } from "./grant.ts";
import { admit, neededBy, sessionOf } from "./needs.ts";

/** Carries a command out, with the rights that it comes with. */
export function runWithRights(state: State, command: Command): KvResult {
  if (command.type === "as") return runAs(state, command);
  const { access, store: { revision } } = state;
  if (access.isRequired && !isWithoutToken(command)) return { type: "unauthenticated", revision };
  return run(state, command);
}

/** What takes effect without a token where others need one: the leader's own, and the refusal of a second first token. */
function isWithoutToken(command: Command): boolean {
  const { type } = command;
  return type === "expire" || type === "configure" || type === "upgrade" ||
    (type === "putToken" && command.first);
}

function runAs(state: State, { token, command: payload }: AsCommand): KvResult {
  const { access, store, version } = state;
  const command = decoded(state, payload);
  if (command.type === "malformed") return command;
  const inner = command.type === "keyed" ? decoded(state, command.command) : command;
  if (inner.type === "malformed") return inner;
  const needs = neededBy(inner, (lease, range) => store.firstKeyOf(lease, range));
  if (needs === null || version < accessVersion) {
    return malformed(state, `a token with a command of type ${inner.type}`);
  }
  const admission = admit(access, token, needs);
  if (admission.type !== "admitted") return { type: admission.type, revision: store.revision };
  if (command.type !== "keyed") return run(state, command);
  // Another principal's answers are none of its business.
  return run(state, { ...command, session: sessionOf(command.session, admission.name) });
}
