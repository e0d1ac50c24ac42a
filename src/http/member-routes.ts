/**
 * `/v1/members`: who takes part, and changing it.
 *
 * A change is checked here as far as the request alone can tell; what depends on who takes part, the leader says. A
 * request that is repeated does no harm: what is already so is answered with 200, and the same change again waits for
 * the one that is under way.
 */
import * as v from "valibot";
import { anywhere } from "../kv/access/needs.ts";
import { OutcomeUnknown } from "../errors.ts";
import { isVoter, MEMBERS_MAX, membersOf } from "../raft/membership.ts";
import type { Configuration, Membership, NodeId } from "../raft/types.ts";
import type { MemberRequest, MemberSpec, MembersView } from "../ports.ts";
import { readDocument } from "./body.ts";
import type { Exchange, Host } from "./exchange.ts";
import { badRequest } from "./problem.ts";
import { confirmNames, confirmRead, type Needs } from "./reading.ts";
import { pathOf, percentDecode, Query } from "./target.ts";
import {
  type AddMemberAnswer,
  AddMemberRequest,
  type MemberAnswer,
  memberId,
  type MembersAnswer,
  type MemberSeat,
  type RemoveMemberAnswer,
  SetMembersRequest,
} from "./wire.ts";

type Addition = MemberRequest & { readonly type: "add" | "replace" };

/** No command: nobody asks for this again once it has begun. */
export const asMember: Needs = () => [anywhere("member")];

/** What stands before an id in a path. */
export const memberPrefix = "/v1/members/";

/** `GET /v1/members`: as linearizable as a key, unless `consistency` says otherwise. */
export async function getMembers(exchange: Exchange): Promise<Response> {
  const { host, target } = exchange;
  const query = new Query(target, confirmNames, host.limits.queryBytesMax);
  const staleness = await confirmRead(exchange, query, asMember);
  return exchange.document(200, membersShown(host), { headers: staleness });
}

/**
 * `POST /v1/members`: 201 when the member is what it was to be, 200 where it was before; 202 where the change goes on,
 * or has ended without it: a newcomer that doesn't catch up stays a learner.
 */
export async function postMember(exchange: Exchange): Promise<Response> {
  const { replica, now } = exchange.host;
  const asked = await readDocument(exchange, AddMemberRequest);
  const { id, url } = asked;
  const deadline = now() + exchange.timeoutMs;
  await replica.read("linearizable", exchange.timeoutMs);
  const { configuration: before } = replica.members();
  const request = additionOf(asked);
  const wanted = roleOf(before, request);
  const wasSo = isFor(before, id, wanted) && before.urls[id] === url;
  if (before.urls[id] === undefined) await exchange.host.checkNewcomer?.({ id, url });
  await exchange.decide(asMember);
  const timeoutMs = Math.max(1, deadline - now());
  const { configuration, changing } = await replica.changeMembers(request, timeoutMs);
  const answer = { id, url, voter: isVoter(configuration, id) };
  const isSo = isFor(configuration, id, wanted) && !isReplaced(configuration, request);
  if (wasSo && isSo) return exchange.document(200, answer);
  if (changing) {
    const detail = isWaiting(configuration, id)
      ? `${id} is a learner that becomes a voter once it has caught up`
      : `the change that takes ${id} in has begun and goes on`;
    return exchange.document(202, { ...answer, detail } satisfies AddMemberAnswer);
  }
  if (isSo) return exchange.document(201, answer);
  if (!configuration.learners.includes(id)) {
    throw new OutcomeUnknown(`${id} was taken in, and another change has taken it out again`);
  }
  const detail = `${id} didn't catch up and stays a learner; the same request` +
    `${request.type === "add" ? `, or \`member promote ${id}\`,` : ""} tries again`;
  return exchange.document(202, { ...answer, detail } satisfies AddMemberAnswer);
}

function additionOf({ id, url, voter, replaces }: AddMemberRequest): Addition {
  if (replaces === undefined) return { type: "add", id, url, voter: voter ?? true };
  if (voter !== undefined) {
    throw badRequest(`body: voter: ${id} takes the role of ${replaces}, which it replaces`);
  }
  if (replaces === id) throw badRequest(`body: replaces: ${id} doesn't come back: take a new id`);
  return { type: "replace", id, url, replaces };
}

function roleOf(before: Configuration, request: Addition): "voter" | "learner" {
  if (request.type === "add") return request.voter ? "voter" : "learner";
  const { learners } = endOf(before);
  return learners.includes(request.replaces) ? "learner" : "voter";
}

/** Whether the one whose place is taken still has it. */
function isReplaced(configuration: Configuration, request: Addition): boolean {
  return request.type === "replace" && membersOf(configuration).includes(request.replaces);
}

/** `DELETE /v1/members/{id}`: 200 when it is out, also where it left before; 202 where it is on its way. */
export async function deleteMember(exchange: Exchange): Promise<Response> {
  const { replica } = exchange.host;
  const id = percentDecode(pathOf(exchange.target).slice(memberPrefix.length), "id");
  if (!v.is(memberId, id)) throw badRequest("path: an id takes 1–64 of A-Z a-z 0-9 . _ -");
  await exchange.decide(asMember);
  const view = await replica.changeMembers({ type: "remove", id }, exchange.timeoutMs);
  const { configuration, changing } = view;
  const isOut = configuration.removed?.includes(id) === true;
  // One step begins when the one before is committed: in the middle of a later change it is out for good.
  if (isOut && (!changing || configuration.next !== undefined)) {
    return exchange.document(200, { removed: id } satisfies RemoveMemberAnswer);
  }
  if (!changing) throw new OutcomeUnknown(`${id} was to be removed, and is a member all the same`);
  const detail = `the removal of ${id} has begun and goes on`;
  return exchange.document(202, { removing: id, detail } satisfies RemoveMemberAnswer);
}

/** `PUT /v1/members`: any set to any other, in one change. 200 when it is over, 202 where it goes on or ended otherwise. */
export async function putMembers(exchange: Exchange): Promise<Response> {
  const { host } = exchange;
  const { voters, learners = [] } = await readDocument(exchange, SetMembersRequest);
  checkSeats(voters, learners);
  const { urls } = host.replica.members().configuration;
  const newcomers = [...voters, ...learners].flatMap((seat) =>
    typeof seat === "string" || urls[seat.id] !== undefined ? [] : [seat]
  );
  await Promise.all(newcomers.map(async (newcomer) => await host.checkNewcomer?.(newcomer)));
  await exchange.decide(asMember);
  const view = await host.replica.changeMembers(
    { type: "set", voters: voters.map(specOf), learners: learners.map(specOf) },
    exchange.timeoutMs,
  );
  const shown = membersShown(host, view);
  if (view.changing) {
    const detail = "the change has begun and goes on";
    return exchange.document(202, { ...shown, detail } satisfies MembersAnswer);
  }
  const wanted = {
    voters: voters.map((seat) => specOf(seat).id),
    learners: learners.map((seat) => specOf(seat).id),
  };
  if (isSame(view.configuration, wanted)) return exchange.document(200, shown);
  const late = wanted.voters.filter((id) => !view.configuration.voters.includes(id));
  const detail = late.length === 0
    ? "another change has followed this one"
    : `${late.join(", ")} didn't catch up: the voters stay, and the same request tries again`;
  return exchange.document(202, { ...shown, detail } satisfies MembersAnswer);
}

/** Members in order of their ids, and what a change under way ends in. Only a leader knows how far others are. */
export function membersShown(
  host: Host,
  { configuration, changing }: MembersView = host.replica.members(),
): { readonly members: readonly MemberAnswer[]; readonly change: MembersAnswer["change"] } {
  const status = host.replica.status();
  const ids = membersOf(configuration).toSorted();
  const members = ids.map((id): MemberAnswer => {
    const seat = {
      id,
      url: configuration.urls[id] ?? "",
      voter: isVoter(configuration, id),
      ...(isWaiting(configuration, id) ? { waiting: true as const } : {}),
      ...spokenBy(host, id),
    };
    if (id === status.id) {
      const lagMs = status.role === "leader" ? 0 : host.replica.stalenessMs();
      return { ...seat, match: status.lastIndex, lagMs };
    }
    const peer = status.progress.find((progress) => progress.id === id);
    const heard = peer?.lastReply ?? null;
    const lagMs = heard === null ? null : Math.max(0, Math.round(host.now() - heard));
    return { ...seat, match: peer?.match ?? null, lagMs };
  });
  const { voters, learners } = endOf(configuration);
  const change = { voters: voters.toSorted(), learners: learners.toSorted() };
  return { members, change: changing ? change : null };
}

function spokenBy({ speaks }: Host, id: NodeId): Pick<MemberAnswer, "speaks"> {
  const spoken = speaks?.(id) ?? null;
  return spoken === null ? {} : { speaks: spoken };
}

/** @throws {Refusal} 400 where the request contradicts itself. */
function checkSeats(voters: readonly MemberSeat[], learners: readonly MemberSeat[]): void {
  if (voters.length === 0) throw badRequest("body: voters: there has to be one");
  if (voters.length + learners.length > MEMBERS_MAX) {
    throw badRequest(`body: a cluster has at most ${MEMBERS_MAX} members`);
  }
  const ids = new Set<NodeId>();
  const urls = new Set<string>();
  for (const [list, seats] of Object.entries({ voters, learners })) {
    for (const [at, seat] of seats.entries()) {
      const { id, url } = specOf(seat);
      if (ids.has(id)) throw badRequest(`body: ${list}[${at}]: ${id} comes twice`);
      ids.add(id);
      if (url === null) continue;
      if (urls.has(url)) throw badRequest(`body: ${list}[${at}].url: ${url} comes twice`);
      urls.add(url);
    }
  }
}

function specOf(seat: MemberSeat): MemberSpec {
  return typeof seat === "string" ? { id: seat, url: null } : seat;
}

/** What the configuration ends in, if nothing else comes between. */
function endOf({ next, voters, learners }: Configuration): Membership {
  return next ?? { voters, learners };
}

function isWaiting(configuration: Configuration, id: NodeId): boolean {
  return !isVoter(configuration, id) && endOf(configuration).voters.includes(id);
}

/** Whether it is this, and is to stay so: while a change is joint nobody is yet what it ends in. */
function isFor(configuration: Configuration, id: NodeId, kind: "voter" | "learner"): boolean {
  const name = kind === "voter" ? "voters" : "learners";
  const { outgoing } = configuration;
  const isSettled = outgoing.length === 0 || (kind === "voter" && outgoing.includes(id));
  return isSettled && configuration[name].includes(id) && endOf(configuration)[name].includes(id);
}

function isSame(now: Membership, wanted: Membership): boolean {
  return (["voters", "learners"] as const).every((name) =>
    now[name].length === wanted[name].length && now[name].every((id) => wanted[name].includes(id))
  );
}
