/** Whether a condition holds. */
import type { Condition } from "./command.ts";

/** `current` is the key's revision, 0 where it is absent. */
export function holds(condition: Condition, current: number): boolean {
  switch (condition.type) {
    case "exists":
      return current !== 0;
    case "absent":
      return current === 0;
    case "revision":
      return current !== 0 && condition.revisions.includes(current);
    case "notRevision":
      return current === 0 || !condition.revisions.includes(current);
  }
}
