/**
 * The configuration as data: who votes, who only learns, and how an entry of kind `configuration` spells it.
 *
 * Grammar of such an entry's payload: UTF-8 JSON without spaces, `{"incarnations":{…},"learners":[…],"next":{"learners":
 * […],"voters":[…]},"outgoing":[…],"removed":[…],"urls":{…},"voters":[…]}`, where `incarnations`, `next` and `removed` may
 * be missing and are never empty. Valid if and only if the keys stand in this order, ids and incarnations are 1–64 of
 * `A-Z a-z 0-9 . _ -`, lists are sorted and without repetition, there is a voter, no learner votes, each URL and each
 * incarnation is a member's, nobody who was removed is a member, those in `next` are members and no learner votes in it,
 * and it is at most 64 KiB.
 */
import { MalformedBytes } from "../errors.ts";
import type { Configuration, Membership, NodeId } from "./types.ts";

const PAYLOAD_BYTES_MAX = 65_536;
/** Voters and learners together; whoever asks for more is refused. */
export const MEMBERS_MAX = 64;
const NODE_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** Whether `id` votes, in either half of a joint configuration. */
export function isVoter(configuration: Configuration, id: NodeId): boolean {
  return configuration.voters.includes(id) || configuration.outgoing.includes(id);
}

/** All who vote, in either half, each once. */
export function votersOf(configuration: Configuration): readonly NodeId[] {
  if (configuration.outgoing.length === 0) return configuration.voters;
  return [...new Set([...configuration.voters, ...configuration.outgoing])];
}

/** All whom the leader replicates to, each once. */
export function membersOf(configuration: Configuration): readonly NodeId[] {
  return [...new Set([...votersOf(configuration), ...configuration.learners])];
}

/** Whether `id` alone is a quorum. */
export function isSoleVoter(configuration: Configuration, id: NodeId): boolean {
  return votersOf(configuration).every((voter) => voter === id) && isVoter(configuration, id);
}

/** The payload of a configuration entry; equal configurations give equal bytes. */
export function encodeConfiguration(configuration: Configuration): Uint8Array {
  return new TextEncoder().encode(canonical(configuration));
}

/** @throws {MalformedBytes} where `payload` is not what {@link encodeConfiguration} writes. */
export function decodeConfiguration(payload: Uint8Array): Configuration {
  if (payload.byteLength > PAYLOAD_BYTES_MAX) {
    throw new MalformedBytes(`a configuration longer than ${PAYLOAD_BYTES_MAX} bytes`, 0);
  }
  const { text, value } = parse(payload);
  const configuration = configurationIn(value);
  checkSense(configuration);
  if (canonical(configuration) !== text) {
    throw new MalformedBytes("a configuration that is not in canonical form", 0);
  }
  return configuration;
}

function configurationIn(value: object): Configuration {
  const incarnations = textsIn(value, "incarnations");
  const removed = field(value, "removed");
  const next = field(value, "next");
  return {
    voters: idsIn(value, "voters"),
    outgoing: idsIn(value, "outgoing"),
    learners: idsIn(value, "learners"),
    urls: textsIn(value, "urls") ?? malformed("a configuration without urls"),
    ...(incarnations === undefined ? {} : { incarnations }),
    ...(removed === undefined ? {} : { removed: idsIn(value, "removed") }),
    ...(next === undefined ? {} : { next: membershipIn(next) }),
  };
}

function membershipIn(value: unknown): Membership {
  if (typeof value !== "object" || value === null) malformed("a configuration whose next is none");
  return { voters: idsIn(value, "voters"), learners: idsIn(value, "learners") };
}

/** What lists that are well formed may not say together. */
function checkSense(configuration: Configuration): void {
  const { voters, learners, urls, incarnations = {}, removed = [], next } = configuration;
  if (voters.length === 0 || next?.voters.length === 0) malformed("a configuration without voters");
  if (learners.some((id) => isVoter(configuration, id))) {
    malformed("a configuration with a learner that votes");
  }
  const members = new Set(membersOf(configuration));
  if (Object.keys(urls).some((id) => !members.has(id))) {
    malformed("a configuration with the URL of a stranger");
  }
  for (const [id, incarnation] of Object.entries(incarnations)) {
    if (!members.has(id)) malformed("a configuration with the incarnation of a stranger");
    if (!NODE_ID.test(incarnation)) malformed("a configuration with an incarnation that is none");
  }
  if (removed.some((id) => members.has(id))) {
    malformed("a configuration with a member that was removed");
  }
  if (next === undefined) return;
  if (next.learners.some((id) => next.voters.includes(id))) {
    malformed("a configuration whose next one has a learner that votes");
  }
  if ([...next.voters, ...next.learners].some((id) => !members.has(id))) {
    malformed("a configuration whose next one has a stranger");
  }
}

function canonical(configuration: Configuration): string {
  const { voters, outgoing, learners, urls, incarnations = {}, removed = [], next } = configuration;
  const bound = Object.keys(incarnations).length > 0;
  return JSON.stringify({
    ...(bound ? { incarnations: sorted(incarnations) } : {}),
    learners: learners.toSorted(),
    ...(next === undefined
      ? {}
      : { next: { learners: next.learners.toSorted(), voters: next.voters.toSorted() } }),
    outgoing: outgoing.toSorted(),
    ...(removed.length > 0 ? { removed: removed.toSorted() } : {}),
    urls: sorted(urls),
    voters: voters.toSorted(),
  });
}

function sorted(texts: Readonly<Record<NodeId, string>>): Record<NodeId, string> {
  return Object.fromEntries(Object.entries(texts).sort(([a], [b]) => a < b ? -1 : 1));
}

function parse(payload: Uint8Array): { text: string; value: object } {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload);
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return { text, value };
  } catch {
    // Falls through: what is wrong with the text matters to nobody, that it is no JSON does.
  }
  throw new MalformedBytes("a configuration that is no JSON object", 0);
}

function field(value: object, name: keyof Configuration): unknown {
  return Object.entries(value).find(([key]) => key === name)?.[1];
}

function idsIn(value: object, name: "voters" | "outgoing" | "learners" | "removed"): NodeId[] {
  const ids: unknown = field(value, name);
  const isIds = (list: unknown): list is NodeId[] =>
    Array.isArray(list) && list.every((id) => typeof id === "string" && NODE_ID.test(id));
  if (!isIds(ids) || new Set(ids).size !== ids.length) {
    malformed(`a configuration whose ${name} are no list of different ids`);
  }
  return ids;
}

function textsIn(
  value: object,
  name: "urls" | "incarnations",
): Record<NodeId, string> | undefined {
  const texts: unknown = field(value, name);
  if (texts === undefined) return undefined;
  if (typeof texts !== "object" || texts === null || Array.isArray(texts)) {
    malformed(`a configuration whose ${name} are no object`);
  }
  const checked: [NodeId, string][] = [];
  for (const [id, text] of Object.entries(texts)) {
    if (typeof text !== "string") malformed(`a configuration whose ${name} are no texts`);
    checked.push([id, text]);
  }
  return Object.fromEntries(checked);
}

function malformed(what: string): never {
  throw new MalformedBytes(what, 0);
}
