/** Who takes part in a cluster that is only pretended: what is asked is done at once, begun, or given up, as told. */
import { ChangeRefused } from "../../src/errors.ts";
import type { Configuration } from "../../src/raft/types.ts";
import type { MemberRequest, MembersView } from "../../src/ports.ts";
import { planChange } from "../../src/replica/membership.ts";

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
    const plan = planChange(this.configuration, request);
    if (plan.type === "underWay") return this.view;
    if (this.changing) throw new ChangeRefused("change_in_progress", "another one runs");
    const { voters, learners, urls, removed = [] } = this.configuration;
    const { urls: known, ...target } = plan.target;
    const members = [...target.voters, ...target.learners];
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
      ? { ...target, outgoing: voters, urls: { ...urls, ...known }, removed, next: target }
      : {
        voters,
        outgoing: [],
        learners: [...learners, ...waiting],
        urls: { ...urls, ...known },
        removed,
        ...(this.pace === "begun" ? { next: target } : {}),
      };
    return this.view;
  }
}
