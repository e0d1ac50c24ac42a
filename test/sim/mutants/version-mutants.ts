/** Defects of what lets two releases live in one cluster. */
import { type Mutant, mutant } from "./mutant.ts";

export const versionMutants: readonly Mutant[] = [
  mutant(
    "raised-while-one-is-silent",
    "a member that was never heard keeps no version from rising",
    {
      file: "runtimes/versions.ts",
      find: `    if (heard === undefined) return FIRST_WIRE;`,
      replace: `    if (heard === undefined) return this.speaks;`,
    },
  ),
  mutant("old-release-not-barred", "a directory goes on saying that every release may read it", {
    file: "src/adapters/identity.ts",
    find: `  return { format, clusterId: cluster.clusterId`,
    replace: `  return { format: 1, clusterId: cluster.clusterId`,
  }),
  mutant("snapshot-without-version", "a snapshot forgets the cluster's version", {
    file: "src/kv/snapshot-format.ts",
    find: `firstFormat - firstVersion + header.version`,
    replace: `firstFormat`,
  }),
];
