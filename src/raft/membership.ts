/**
 * The configuration as data: who votes, who only learns, and how an entry of kind `configuration` spells it.
 *
 * Grammar of such an entry's payload: UTF-8 JSON without spaces, `{"learners":[…],"outgoing":[…],"urls":{…},
 * "voters":[…]}`. Valid if and only if the keys stand in this order, ids are 1–64 of `A-Z a-z 0-9 . _ -`, lists are
 * sorted and without repetition, there is a voter, no learner votes, each URL is a member's, and it is at most 64 KiB.
 */
import { MalformedBytes } from "../errors.ts";
import type { Configuration, NodeId } from "./types.ts";

const PAYLOAD_BYTES_MAX = 65_536;
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
  const configuration: Configuration = {
    voters: idsIn(value, "voters"),
    outgoing: idsIn(value, "outgoing"),
    learners: idsIn(value, "learners"),
    urls: urlsIn(value),
  };
  if (configuration.voters.length === 0) {
    throw new MalformedBytes("a configuration without voters", 0);
  }
  if (configuration.learners.some((id) => isVoter(configuration, id))) {
    throw new MalformedBytes("a configuration with a learner that votes", 0);
  }
  const members = membersOf(configuration);
  if (Object.keys(configuration.urls).some((id) => !members.includes(id))) {
    throw new MalformedBytes("a configuration with the URL of a stranger", 0);
  }
  if (canonical(configuration) !== text) {
    throw new MalformedBytes("a configuration that is not in canonical form", 0);
  }
  return configuration;
}

function canonical(configuration: Configuration): string {
  const urls = Object.entries(configuration.urls).sort(([a], [b]) => a < b ? -1 : 1);
  return JSON.stringify({
    learners: configuration.learners.toSorted(),
    outgoing: configuration.outgoing.toSorted(),
    urls: Object.fromEntries(urls),
    voters: configuration.voters.toSorted(),
  });
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

function idsIn(value: object, name: "voters" | "outgoing" | "learners"): NodeId[] {
  const ids: unknown = field(value, name);
  const isIds = (list: unknown): list is NodeId[] =>
    Array.isArray(list) && list.every((id) => typeof id === "string" && NODE_ID.test(id));
  if (!isIds(ids) || new Set(ids).size !== ids.length) {
    throw new MalformedBytes(`a configuration whose ${name} are no list of different ids`, 0);
  }
  return ids;
}

function urlsIn(value: object): Record<NodeId, string> {
  const urls: unknown = field(value, "urls");
  if (typeof urls !== "object" || urls === null || Array.isArray(urls)) {
    throw new MalformedBytes("a configuration whose urls are no object", 0);
  }
  const checked: [NodeId, string][] = [];
  for (const [id, url] of Object.entries(urls)) {
    if (typeof url !== "string") {
      throw new MalformedBytes("a configuration with a URL that is no text", 0);
    }
    checked.push([id, url]);
  }
  return Object.fromEntries(checked);
}
