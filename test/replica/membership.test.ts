/** What a request for another membership comes to, by itself. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ChangeRefused } from "../../src/errors.ts";
import type { MemberRequest } from "../../src/ports.ts";
import {
  type Configuration,
  decodeConfiguration,
  encodeConfiguration,
  MEMBERS_MAX,
} from "../../src/raft/mod.ts";
import { planChange } from "../../src/replica/membership.ts";

function members(voters: readonly string[], learners: readonly string[] = []): Configuration {
  const urls = Object.fromEntries([...voters, ...learners].map((id) => [id, `http://${id}`]));
  return { voters, outgoing: [], learners, urls };
}

function ids(count: number, letter: string, characters = 4): string[] {
  return Array.from({ length: count }, (_, n) => `${letter}${n}`.padEnd(characters, "-"));
}

function set(voters: readonly string[], url: (id: string) => string): MemberRequest {
  return { type: "set", voters: voters.map((id) => ({ id, url: url(id) })), learners: [] };
}

/** What it comes to, or the code that it is refused by. */
function outcome(current: Configuration, request: MemberRequest): string {
  try {
    const plan = planChange(current, request);
    return plan.type === "change" && plan.cancels ? "cancels" : plan.type;
  } catch (error) {
    if (error instanceof ChangeRefused) return error.code;
    throw error;
  }
}

const three = members(["n1", "n2", "n3"]);
const add = (id: string, voter: boolean): MemberRequest => ({
  type: "add",
  id,
  url: `http://${id}`,
  voter,
});
const remove = (id: string): MemberRequest => ({ type: "remove", id });

describe("a planned change", () => {
  it("is refused beyond the most members, and beyond the bytes of an entry", () => {
    const many = (count: number) => set(ids(count, "m"), (id) => `http://${id}`);
    assert.equal(outcome(three, many(MEMBERS_MAX)), "change");
    assert.equal(outcome(three, many(MEMBERS_MAX + 1)), "bad_request");
    const long = (characters: number) =>
      set(ids(MEMBERS_MAX, "m"), (id) => `http://${id}${"x".repeat(characters)}`);
    assert.equal(outcome(three, long(400)), "change");
    assert.equal(outcome(three, long(800)), "bad_request");
    const removed = ids(1000, "r", 64);
    assert.equal(outcome({ ...three, removed }, add("n4", true)), "bad_request");
  });

  it("fits an entry in each of its steps where it is not refused", () => {
    const before = ids(MEMBERS_MAX, "b", 64);
    const after = ids(MEMBERS_MAX, "a", 64);
    const lives = (of: readonly string[]) =>
      Object.fromEntries(of.map((id) => [id, "x".repeat(64)]));
    for (let characters = 64; characters < 1024; characters += 16) {
      const url = (id: string) => `http://${id}`.padEnd(characters, "x");
      const urls = Object.fromEntries(before.map((id) => [id, url(id)]));
      const current = { ...members(before), urls, incarnations: lives(before) };
      if (outcome(current, set(after, url)) !== "change") {
        assert.ok(characters > 64);
        break;
      }
      const all = Object.fromEntries([...before, ...after].map((id) => [id, url(id)]));
      const joint: Configuration = {
        voters: after,
        outgoing: before,
        learners: [],
        urls: all,
        incarnations: lives([...before, ...after]),
        next: { voters: after, learners: [] },
      };
      decodeConfiguration(encodeConfiguration(joint));
    }
  });

  it("takes nobody's vote by the way, and moves nobody by the way", () => {
    assert.equal(outcome(three, add("n1", false)), "bad_request");
    const moved = { type: "add", id: "n1", url: "http://elsewhere", voter: true } as const;
    assert.equal(outcome(three, moved), "bad_request");
    assert.equal(
      outcome(three, set(["n1", "n2", "n3"], (id) => `http://new-${id}`)),
      "bad_request",
    );
    assert.equal(outcome(three, set(["n1", "n2", "n3"], (id) => `http://${id}`)), "underWay");
  });

  it("takes the place of another one only to take back a newcomer that is waited for", () => {
    const waiting = {
      ...members(["n1", "n2", "n3"], ["n4", "n5"]),
      next: { voters: ["n1", "n2", "n3", "n4"], learners: ["n5"] },
    };
    assert.equal(outcome(waiting, remove("n4")), "cancels");
    assert.equal(outcome(waiting, remove("n1")), "change_in_progress");
    assert.equal(outcome(waiting, remove("n5")), "change_in_progress");
    assert.equal(outcome(waiting, add("n4", true)), "underWay");
    assert.equal(outcome(waiting, add("n6", true)), "change_in_progress");
    const { next } = waiting;
    const joint = { ...waiting, voters: next.voters, outgoing: three.voters, learners: ["n5"] };
    assert.equal(outcome(joint, remove("n4")), "change_in_progress");
    assert.equal(outcome(joint, add("n4", true)), "underWay");
  });
});
