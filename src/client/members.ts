/** Who takes part, and who leads: requests that may all be repeated, because what is already so stays so. */
import {
  AddMemberAnswer,
  LeaderAnswer,
  MembersAnswer,
  type MemberSeat,
  RemoveMemberAnswer,
} from "../http/wire.ts";
import { decode, jsonBody } from "./answer.ts";
import type { Answer } from "./attempt.ts";
import type { ClientErrorCode } from "./error.ts";
import type { CallOptions } from "./options.ts";
import type { Call, Session } from "./session.ts";

/** Whom to take in. */
export interface NewMember {
  readonly id: string;
  /** An origin, such as `http://10.0.0.4:4001`. */
  readonly url: string;
  /** False for one that only learns; true where it isn't said. */
  readonly voter?: boolean;
  /** Whose place and role it takes, in the same change; `voter` isn't said then. */
  readonly replaces?: string;
}

/** All who are to be left: by their ids where they are members, with a URL where they come. */
export interface MemberSet {
  readonly voters: readonly MemberSeat[];
  /** None where it isn't said. */
  readonly learners?: readonly MemberSeat[];
}

/**
 * How a change was answered. It isn't over while newcomers catch up; one that doesn't catch up stays a learner, and
 * `detail` says so. `members` tells whether it still goes on.
 */
export interface ChangeResult {
  readonly isOver: boolean;
  readonly detail: string | null;
}

/** The member as it is now. */
export interface AddMemberResult extends ChangeResult {
  readonly id: string;
  readonly url: string;
  readonly voter: boolean;
}

/** The members as they are now, and what the change ends in. */
export type SetMembersResult = ChangeResult & Pick<MembersAnswer, "members" | "change">;

/** Whatever a transfer's fate, it has cost the cluster a pause: it is not begun anew where nobody took over. */
const transferEnds: ReadonlySet<ClientErrorCode> = new Set(["not_ready"]);

/** See `Client.addMember`. */
export async function addMember(
  session: Session,
  member: NewMember,
  options: CallOptions,
): Promise<AddMemberResult> {
  const answer = await session.send(change("POST", "/v1/members", member, options));
  return { ...decode(AddMemberAnswer, answer, "write"), ...resultOf(answer) };
}

/** See `Client.removeMember`. */
export async function removeMember(
  session: Session,
  id: string,
  options: CallOptions,
): Promise<ChangeResult> {
  const target = `/v1/members/${encodeURIComponent(id)}`;
  return resultOf(await session.send(change("DELETE", target, null, options)));
}

/** See `Client.setMembers`. */
export async function setMembers(
  session: Session,
  { voters, learners = [] }: MemberSet,
  options: CallOptions,
): Promise<SetMembersResult> {
  const answer = await session.send(
    change("PUT", "/v1/members", { voters, learners }, options),
  );
  const { members, change: end } = decode(MembersAnswer, answer, "write");
  return { members, change: end, ...resultOf(answer) };
}

/** See `Client.transferLeadership`. */
export async function transferLeadership(
  session: Session,
  id: string | null,
  options: CallOptions,
): Promise<string> {
  const call = change("PUT", "/v1/leader", { id }, options);
  // Without a name each request may well find another one.
  const kind = id === null ? "write" : call.kind;
  const answer = await session.send({ ...call, kind, final: transferEnds });
  return decode(LeaderAnswer, answer, "write").leader;
}

function change(
  method: Call["method"],
  target: string,
  body: object | null,
  { signal }: CallOptions,
): Call {
  const call = { method, target, kind: "idempotentWrite", signal } as const;
  return body === null ? call : { ...call, ...jsonBody(body) };
}

function resultOf(answer: Answer): ChangeResult {
  const { detail } = decode(RemoveMemberAnswer, answer, "write");
  return { isOver: answer.status !== 202, detail: detail ?? null };
}
