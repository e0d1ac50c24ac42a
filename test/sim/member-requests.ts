/** What a request for other members comes to, by a reading of its own: what the oracles compare the cluster's with. */
import type { MemberRequest } from "../../src/ports.ts";
import type { Configuration, Membership } from "../../src/raft/types.ts";

/** A request, and what became of it as far as whoever asked knows. */
export interface Asked {
  readonly request: MemberRequest;
  outcome: "open" | "unknown" | "refused" | "begun" | "over";
}

/** What the membership is, or will be when the change under way is over. */
export function goalOf({ voters, learners, next }: Configuration): Membership {
  return next ?? { voters, learners };
}

export function sameGoal(a: Membership, b: Membership): boolean {
  return sameIds(a.voters, b.voters) && sameIds(a.learners, b.learners);
}

export function sameIds(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((id) => b.includes(id));
}

/** What `request` makes of a goal. */
export function wanted({ voters, learners }: Membership, request: MemberRequest): Membership {
  const without = (ids: readonly string[], gone: string): string[] =>
    ids.filter((id) => id !== gone);
  switch (request.type) {
    case "add": {
      const { id, voter } = request;
      const others = without(learners, id);
      if (voter) return { voters: [...without(voters, id), id], learners: others };
      return { voters, learners: voters.includes(id) ? learners : [...others, id] };
    }
    case "replace": {
      const { replaces } = request;
      const others = { voters: without(voters, replaces), learners: without(learners, replaces) };
      if (voters.includes(replaces)) {
        return wanted(others, { ...request, type: "add", voter: true });
      }
      if (!learners.includes(replaces)) return others;
      return wanted(others, { ...request, type: "add", voter: false });
    }
    case "remove":
      return { voters: without(voters, request.id), learners: without(learners, request.id) };
    case "set":
      return {
        voters: request.voters.map(({ id }) => id),
        learners: request.learners.map(({ id }) => id),
      };
  }
}

/** Whether `configuration` is as `request` wants it. */
export function fulfils(configuration: Configuration, request: MemberRequest): boolean {
  const goal = goalOf(configuration);
  return sameGoal(goal, wanted(goal, request));
}

/** The same text for the same configuration, whatever the order in which it is spelled. */
export function canonical(configuration: Configuration): string {
  const { voters, outgoing, learners, urls, incarnations = {}, removed = [], next } = configuration;
  const pairs = (texts: Readonly<Record<string, string>>) =>
    Object.entries(texts).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([
    ...[voters, outgoing, learners, removed].map((ids) => ids.toSorted()),
    ...[urls, incarnations].map(pairs),
    next === undefined ? null : [next.voters.toSorted(), next.learners.toSorted()],
  ]);
}

/** The groups of which a majority each makes a quorum. */
export function halvesOf({ voters, outgoing }: Configuration): readonly (readonly string[])[] {
  return outgoing.length === 0 ? [voters] : [voters, outgoing];
}

/** Whether those for whom `has` holds are a majority of both halves. */
export function isQuorum(configuration: Configuration, has: (id: string) => boolean): boolean {
  return halvesOf(configuration).every((half) => 2 * half.filter(has).length > half.length);
}

export function membersOf({ voters, outgoing, learners }: Configuration): readonly string[] {
  return [...new Set([...voters, ...outgoing, ...learners])];
}

/** An entry's payload. It was checked by whoever took it in; a lie in it shows in what follows from it. */
export function configurationIn(payload: Uint8Array): Configuration {
  return JSON.parse(new TextDecoder().decode(payload));
}
