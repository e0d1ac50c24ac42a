/** Who takes part in a cluster that is only pretended: what is asked is done at once, begun, or given up, as told. */
import { ChangeRefused } from "../../src/errors.ts";
import type { Configuration } from "../../src/raft/types.ts";
import type { MemberRequest, MemberSpec, MembersView } from "../../src/ports.ts";

type Target = { readonly voters: readonly string[]; readonly learners: readonly string[] };

function isSame(now: Target, then: Target): boolean {
  const text = ({ voters, learners }: Target): string =>
    JSON.stringify([voters.toSorted(), learners.toSorted()]);
  return text(now) === text(then);
}

export class FakeMembers {
  configuration: Configuration = {
    voters: ["n1", "n2"],
    outgoing: [],
    learners: ["n3"],
    urls: {
      n1: "http://127.0.0.1:4001",
      n2: "http://127.0.0.1:4002",
      n3: "http://127.0.0.1:4003",
    },
  };
  changing = false;
  /** How far a change gets before it is answered; one that is `givenUp` leaves its newcomers learners. */
  pace: "done" | "begun" | "joint" | "givenUp" = "done";
  readonly asked: MemberRequest[] = [];

  get view(): MembersView {
    return { configuration: this.configuration, changing: this.changing };
  }

  /** @throws {ChangeRefused} as a leader refuses. */
  change(request: MemberRequest): MembersView {
    this.asked.push(request);
    const { voters, learners, urls, removed = [] } = this.configuration;
    const specs = request.type === "set"
      ? [...request.voters, ...request.learners]
      : request.type === "add"
      ? [request]
      : [];
    for (const spec of specs) this.#check(spec);
    const target = this.#target(request);
    if (target.voters.length === 0) throw new ChangeRefused("bad_request", "no voter is left");
    const members = [...target.voters, ...target.learners];
    const { next } = this.configuration;
    if (isSame(this.configuration, target) || (next !== undefined && isSame(next, target))) {
      return this.view;
    }
    if (this.changing) throw new ChangeRefused("change_in_progress", "another one runs");
    const known = { ...urls };
    for (const { id, url } of specs) if (url !== null) known[id] = url;
    const waiting = members.filter((id) => !voters.includes(id) && !learners.includes(id));
    this.changing = this.pace === "begun" || this.pace === "joint";
    this.configuration = this.pace === "done"
      ? {
        ...target,
        outgoing: [],
        urls: Object.fromEntries(Object.entries(known).filter(([id]) => members.includes(id))),
        removed: [...removed, ...[...voters, ...learners].filter((id) => !members.includes(id))],
      }
      : this.pace === "joint"
      ? { ...target, outgoing: voters, urls: known, removed, next: target }
      : {
        voters,
        outgoing: [],
        learners: [...learners, ...waiting],
        urls: known,
        removed,
        ...(this.pace === "begun" ? { next: target } : {}),
      };
    return this.view;
  }

  #check({ id, url }: MemberSpec): void {
    const { urls, removed = [] } = this.configuration;
    const refuse = (why: string): never => {
      throw new ChangeRefused("bad_request", why);
    };
    if (removed.includes(id)) refuse(`${id} was removed`);
    if (url === null && urls[id] === undefined) refuse(`${id} is not a member`);
    const other = Object.entries(urls).find(([member, theirs]) => theirs === url && member !== id);
    if (other !== undefined) refuse(`${url} is ${other[0]}'s`);
  }

  #target(request: MemberRequest): Target {
    const { voters, learners, removed = [] } = this.configuration;
    const without = (list: readonly string[], id: string): string[] =>
      list.filter((each) => each !== id);
    switch (request.type) {
      case "set":
        return {
          voters: request.voters.map(({ id }) => id),
          learners: request.learners.map(({ id }) => id),
        };
      case "add": {
        const { id, voter } = request;
        if (!voter && voters.includes(id)) throw new ChangeRefused("bad_request", `${id} votes`);
        const others = { voters: without(voters, id), learners: without(learners, id) };
        return voter
          ? { ...others, voters: [...others.voters, id] }
          : { ...others, learners: [...others.learners, id] };
      }
      case "remove": {
        const { id } = request;
        if (![...voters, ...learners, ...removed].includes(id)) {
          throw new ChangeRefused("not_found", `${id} is not a member`);
        }
        return { voters: without(voters, id), learners: without(learners, id) };
      }
    }
  }
}
