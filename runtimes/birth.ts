/** What first members agree on without a leader: the same text and the same lives give the same cluster. */
import { createHash, randomBytes } from "node:crypto";
import type { ClusterBirth } from "../src/adapters/data-directory.ts";
import type { NodeId } from "../src/raft/types.ts";

type Texts = Readonly<Record<NodeId, string>>;

/** A new life of a disk. */
export function drawIncarnation(): string {
  return randomBytes(8).toString("hex");
}

/** First members in canonical form, as hellos have them: `n1=http://…,n2=http://…`, in order of the ids. */
export function peersText(peers: Texts): string {
  return spelled(peers);
}

/** The cluster that these members form in these lives. Each life of one forms one cluster at most: see `newcomer.ts`. */
export function birthOf(peers: Texts, incarnations: Texts): ClusterBirth {
  const text = `${spelled(peers)}\n${spelled(incarnations)}`;
  return {
    clusterId: createHash("sha256").update(text).digest("hex").slice(0, 16),
    birth: {
      voters: Object.keys(peers).toSorted(),
      outgoing: [],
      learners: [],
      urls: sorted(peers),
      incarnations: sorted(incarnations),
    },
  };
}

function sorted(texts: Texts): Texts {
  return Object.fromEntries(Object.entries(texts).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function spelled(texts: Texts): string {
  return Object.entries(sorted(texts)).map(([id, text]) => `${id}=${text}`).join(",");
}
