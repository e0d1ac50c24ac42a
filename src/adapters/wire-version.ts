/**
 * Which release may hear what. The cluster's version (`kv/cluster-version.ts`) is part of its state; this is what keeps
 * all that a member doesn't know away from it, on the way there and back.
 *
 * - **A node says what it speaks** with every message: in its nonce, and in its reply to whoever does the same (see
 *   `peer-signature.ts`). 0.1.0 says nothing, and speaks version 1.
 * - **A node needs** version 1 until it leads a cluster whose members all speak 2, right before it proposes that the
 *   cluster's version become that; or until it gets a message of version 2. Its data directory then bars 0.1.0
 *   (`identity.ts`), durably, before it goes on. It never needs less again.
 * - **A message is of the version that its sender needs**, which its path says: `/raft/v2/…`. 0.1.0 has no such path, and
 *   refuses it. So whatever 0.1.0 doesn't know (commands, snapshots) can only be where 2 is needed: it gets there by
 *   messages of version 2 alone.
 * - **Who speaks less than a node needs** is refused by it, whatever it says, and told why.
 *
 * What a node needs and speaks is not the same: one that speaks 2 and needs 1 (it was away when the version rose) is
 * heard by all, or a majority could be left without anybody to elect.
 */
import type { NodeId } from "../raft/types.ts";
import { peerPaths, type PeerRequestType } from "./peer-wire.ts";

/** What 0.1.0 speaks, and says nothing about. */
export const FIRST_WIRE = 1;
/** The header of a refusal that says what its sender needs. */
export const NEEDS_HEADER = "holdfast-needs";

/** What a node speaks, and what it needs. */
export interface WireVersion {
  readonly speaks: number;
  /** Messages of this node are of this version; who speaks less is refused. */
  readonly needs: number;
  /** Needs at least that from now on; resolves when that is durable. It has halted the node where it rejects. */
  raise(version: number): Promise<void>;
  /** Somebody was refused, who speaks less than is needed. */
  onRefused(from: NodeId, spoken: number): void;
  /** This node was refused, which speaks less than `by` needs. */
  onRefusal(by: NodeId, needed: number): void;
}

/** Of a node that knows nothing of versions. */
export const firstWire: WireVersion = {
  speaks: FIRST_WIRE,
  needs: FIRST_WIRE,
  raise: () => Promise.resolve(),
  onRefused: () => {},
  onRefusal: () => {},
};

/** Why a message is refused whose sender speaks less than is needed. */
export function refusalOf(from: NodeId, spoken: number, needed: number): string {
  return `${from} speaks version ${spoken}, and this cluster needs ${needed}: upgrade it first`;
}

/** Where a request of this version is posted. */
export function pathOf(type: PeerRequestType, version: number): string {
  const path = peerPaths[type];
  return version === FIRST_WIRE ? path : path.replace("/v1/", `/v${version}/`);
}

/** The version that a path below `/raft/` is of; null where it says none. */
export function versionOfPath(path: string): number | null {
  const version = /^\/raft\/v([1-9][0-9]{0,5})\//.exec(path)?.[1];
  return version === undefined ? null : Number(version);
}

/** What somebody is told whose messages are of a version that isn't spoken here. */
export function unspoken(version: number, { speaks }: Pick<WireVersion, "speaks">): string {
  return `this node speaks versions up to ${speaks}, and this message is of version ${version}: upgrade this node first`;
}
