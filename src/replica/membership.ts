/**
 * What a request for another membership comes to, given the one there is: a change for the core, or nothing to do, or
 * a refusal that says what is wrong with it. Pure.
 */
import { ChangeRefused } from "../errors.ts";
import type { MemberRequest, MemberSpec } from "../ports.ts";
import { encodeConfiguration, isChanging, MEMBERS_MAX, membersOf } from "../raft/mod.ts";
import type { ChangeTarget, Configuration, NodeId } from "../raft/mod.ts";

export type ChangePlan =
  /** It is so already, or about to be: the change under way ends in it. */
  | { readonly type: "underWay"; readonly target: ChangeTarget }
  | { readonly type: "change"; readonly target: ChangeTarget; readonly cancels: boolean };

/** Of all URLs, ids and incarnations, those of former members among them: an entry has at most 64 KiB. */
const CONFIGURATION_BYTES_MAX = 48 * 1024;

/** @throws {ChangeRefused} */
export function planChange(current: Configuration, request: MemberRequest): ChangePlan {
  const changing = isChanging(current);
  const intended = intendedBy(current);
  const target = targetOf(current, intended, request);
  if (isSame(target, intended)) return { type: "underWay", target };
  if (changing && !takesBack(current, request)) {
    throw new ChangeRefused(
      "change_in_progress",
      `the members are changing already, to voters ${
        intended.voters.join(", ")
      }: wait until that is over`,
    );
  }
  checkTarget(current, target);
  return { type: "change", target, cancels: changing };
}

/** Whether this is what the membership is, or will be once the change under way is over. */
export function endsIn(current: Configuration, target: ChangeTarget): boolean {
  return isSame(target, intendedBy(current));
}

/** What the membership is, or will be once the change under way is over. */
function intendedBy(current: Configuration): ChangeTarget {
  const { voters, learners } = current.next ?? current;
  return { voters, learners, urls: current.urls };
}

/** Whether it takes back a newcomer that is still waited for. */
function takesBack({ voters, outgoing, next }: Configuration, request: MemberRequest): boolean {
  return request.type === "remove" && next !== undefined && outgoing.length === 0 &&
    next.voters.includes(request.id) && !voters.includes(request.id);
}

function targetOf(
  current: Configuration,
  intended: ChangeTarget,
  request: MemberRequest,
): ChangeTarget {
  switch (request.type) {
    case "add":
      return withMember(intended, request);
    case "replace":
      return withSuccessor(current, intended, request);
    case "remove":
      return withoutMember(current, intended, request.id);
    case "set":
      return named(current, request);
  }
}

function withMember(
  intended: ChangeTarget,
  { id, url, voter }: MemberRequest & { readonly type: "add" },
): ChangeTarget {
  const { voters, learners, urls } = intended;
  const known = urlOf(urls, id);
  if (known !== undefined && known !== url) {
    throw new ChangeRefused("bad_request", `${id} is a member already, by the URL ${known}`);
  }
  if (!voter && voters.includes(id)) {
    throw new ChangeRefused("bad_request", `${id} votes already, and would no longer`);
  }
  const others = learners.filter((one) => one !== id);
  return {
    voters: voter && !voters.includes(id) ? [...voters, id] : voters,
    learners: voter ? others : [...others, id],
    urls: { ...urls, [id]: url },
  };
}

/** Where that was done before it stays so. */
function withSuccessor(
  current: Configuration,
  intended: ChangeTarget,
  { id, url, replaces }: MemberRequest & { readonly type: "replace" },
): ChangeTarget {
  const voter = intended.voters.includes(replaces);
  if (voter || intended.learners.includes(replaces)) {
    const others = withoutMember(current, intended, replaces);
    return withMember(others, { type: "add", id, url, voter });
  }
  const others = withoutMember(current, intended, replaces);
  if (intended.urls[id] === url && [...others.voters, ...others.learners].includes(id)) {
    return others;
  }
  throw new ChangeRefused("bad_request", `${replaces} was removed already: add ${id} instead`);
}

function withoutMember(
  current: Configuration,
  intended: ChangeTarget,
  id: NodeId,
): ChangeTarget {
  const isKnown = membersOf(current).includes(id) || current.removed?.includes(id) === true;
  if (!isKnown) throw new ChangeRefused("not_found", `${id} is not a member of this cluster`);
  const others = (ids: readonly NodeId[]): NodeId[] => ids.filter((one) => one !== id);
  const { voters, learners, urls } = intended;
  return { voters: others(voters), learners: others(learners), urls };
}

function named(
  current: Configuration,
  { voters, learners }: MemberRequest & { readonly type: "set" },
): ChangeTarget {
  const placed = ({ id, url }: MemberSpec): [NodeId, string] => {
    const known = urlOf(current.urls, id);
    // An address that leads nowhere would leave the cluster without it, and without a way back.
    if (url !== null && known !== undefined && url !== known) {
      throw new ChangeRefused("bad_request", `${id} is a member already, by the URL ${known}`);
    }
    const given = url ?? known;
    if (given === undefined) {
      throw new ChangeRefused("bad_request", `${id} is not a member yet: its URL is needed`);
    }
    return [id, given];
  };
  return {
    voters: voters.map(({ id }) => id),
    learners: learners.map(({ id }) => id),
    urls: Object.fromEntries([...voters, ...learners].map(placed)),
  };
}

function isSame(a: ChangeTarget, b: ChangeTarget): boolean {
  const sameIds = (some: readonly NodeId[], others: readonly NodeId[]): boolean =>
    some.length === others.length && some.every((id) => others.includes(id));
  return sameIds(a.voters, b.voters) && sameIds(a.learners, b.learners) &&
    [...a.voters, ...a.learners].every((id) => urlOf(a.urls, id) === urlOf(b.urls, id));
}

/** An id may be `constructor` or `__proto__`, and what an object inherits by such a name is no URL. */
function urlOf(urls: Readonly<Record<NodeId, string>>, id: NodeId): string | undefined {
  return Object.hasOwn(urls, id) ? urls[id] : undefined;
}

/** @throws {ChangeRefused} where no cluster could be made of it, or none that anybody could want. */
function checkTarget(current: Configuration, target: ChangeTarget): void {
  const { voters, learners, urls } = target;
  const ids = [...voters, ...learners];
  const refuse = (why: string): never => {
    throw new ChangeRefused("bad_request", why);
  };
  if (voters.length === 0) refuse("no voter would be left");
  if (ids.length > MEMBERS_MAX) refuse(`a cluster has at most ${MEMBERS_MAX} members`);
  const twice = ids.find((id, position) => ids.indexOf(id) !== position);
  if (twice !== undefined) refuse(`${twice} is named twice`);
  const gone = ids.find((id) => current.removed?.includes(id) === true);
  if (gone !== undefined) {
    refuse(
      `${gone} was removed from this cluster, and a removed id never comes back: choose another`,
    );
  }
  const byUrl = new Map<string, NodeId>();
  // Who leaves may be succeeded at the same address.
  for (const id of ids) {
    const url = urlOf(urls, id) ?? "";
    const other = byUrl.get(url);
    if (other !== undefined && other !== id) {
      refuse(`${id} and ${other} would have the same URL, ${url}`);
    }
    byUrl.set(url, id);
  }
  const largest = { ...current, learners: [...new Set([...membersOf(current), ...ids])] };
  const bytes = encodeConfiguration({ ...largest, urls: { ...current.urls, ...urls } }).length;
  if (bytes > CONFIGURATION_BYTES_MAX) {
    refuse(
      `these members, and those removed before, take ${bytes} of ${CONFIGURATION_BYTES_MAX} bytes`,
    );
  }
}
