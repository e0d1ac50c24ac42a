/** Which sources a run was of. */
import { execFileSync } from "node:child_process";

/** The commit that the tree stands at, or null where there is no repository. */
export function commit(): string | null {
  try {
    return execFileSync("git", ["rev-parse", "HEAD"], { encoding: "utf8", stdio: "pipe" }).trim();
  } catch {
    return null;
  }
}
