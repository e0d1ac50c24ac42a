/** Which sources a run was of. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** The commit that the tree stands at, or null where there is no repository. */
export function commit(): string | null {
  return git("rev-parse", "HEAD");
}

/** The commit, and whether the tree has changes that it lacks. */
export function sources(): string {
  const changes = git("status", "--porcelain", "--", "src", "test");
  return `${commit() ?? "unknown"}${changes === null || changes === "" ? "" : " with changes"}`;
}

function git(...args: string[]): string | null {
  try {
    return execFileSync("git", args, { encoding: "utf8", stdio: "pipe", cwd: root }).trim();
  } catch {
    return null;
  }
}
