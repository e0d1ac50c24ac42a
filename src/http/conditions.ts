/** Conditional requests (RFC 9110, section 13). A key's entity tag is the revision that last changed it: `"12"`. */
import { type Condition, conditionRevisionsMax } from "../kv/command.ts";
import { badRequest } from "./problem.ts";

interface EntityTag {
  readonly isWeak: boolean;
  readonly opaque: string;
}

/** The entity tag of a key at `revision`. */
export function entityTagOf(revision: number): string {
  return `"${revision}"`;
}

/**
 * What `If-Match` and `If-None-Match` ask of a write. A tag that is well-formed and not ours matches no revision.
 * @throws {Refusal} 400 where one is malformed.
 */
export function writeConditions(headers: Headers): readonly Condition[] {
  const match = headers.get("if-match");
  const noneMatch = headers.get("if-none-match");
  if (match === null && noneMatch === null) return [];
  const conditions: Condition[] = [];
  if (match !== null) {
    const tags = entityTags(match, "If-Match");
    // If-Match compares strongly: a weak tag never matches.
    conditions.push(
      tags === "*" ? { type: "exists" } : {
        type: "revision",
        revisions: tags.filter((tag) => !tag.isWeak).flatMap(revisionIn),
      },
    );
  }
  if (noneMatch !== null) {
    const tags = entityTags(noneMatch, "If-None-Match");
    conditions.push(
      tags === "*"
        ? { type: "absent" }
        : { type: "notRevision", revisions: tags.flatMap(revisionIn) },
    );
  }
  return conditions;
}

/**
 * Whether the client already has what is at `revision`: then a read is answered with 304.
 * @throws {Refusal} 400 where `If-None-Match` is malformed.
 */
export function isKnownToClient(headers: Headers, revision: number): boolean {
  const noneMatch = headers.get("if-none-match");
  if (noneMatch === null) return false;
  const tags = entityTags(noneMatch, "If-None-Match");
  return tags === "*" || tags.flatMap(revisionIn).includes(revision);
}

/** `"*"`, or the tags of a list, of which there are 1 to {@link conditionRevisionsMax}. */
function entityTags(header: string, name: string): "*" | readonly EntityTag[] {
  if (header.trim() === "*") return "*";
  const tags: EntityTag[] = [];
  const tag = /[ \t]*(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*(,|$)/y;
  let more = true;
  while (more) {
    const found = tag.exec(header);
    if (found === null) {
      throw badRequest(`${name} takes * or entity tags in quotation marks, like "12"`);
    }
    if (tags.length === conditionRevisionsMax) {
      throw badRequest(`${name} takes at most ${conditionRevisionsMax} entity tags`);
    }
    tags.push({ isWeak: found[1] !== undefined, opaque: found[2] ?? "" });
    more = found[3] === ",";
  }
  return tags;
}

function revisionIn({ opaque }: EntityTag): number[] {
  const revision = /^[1-9]\d{0,15}$/.test(opaque) ? Number(opaque) : NaN;
  return Number.isSafeInteger(revision) ? [revision] : [];
}
