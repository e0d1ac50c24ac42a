/**
 * The cluster's version: which commands, results and snapshots all replicas know. It is part of the state. A cluster
 * begins at {@link firstVersion}, and its leader raises it, by a command, once every member is known to speak more: a
 * replica that doesn't know a command changes nothing by it, and would come apart from the others without a word.
 *
 *     1   what 0.1.0 knows; snapshots of format 3
 *     2   0.2.0; snapshots of format 4
 */

export const firstVersion = 1;
/** What this software speaks. */
export const newestVersion = 2;

/** The first release that speaks a version. */
const releases: Readonly<Record<number, string>> = { 1: "0.1.0", 2: "0.2.0" };

/** The release to run for a version to be spoken, in words. */
export function releaseOf(version: number): string {
  return releases[version] ?? `a release that speaks version ${version}`;
}
