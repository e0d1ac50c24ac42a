/**
 * A process that lives and runs answers what it was asked by the deadline, measured by its own clock. Neither a slow
 * disk nor a network that is cut excuses it: what it cannot know by then is its answer.
 */
import type { MachineClock } from "./clock.ts";
import type { Owner } from "./world.ts";

/** How long after a deadline a process may go on to work, in steps of so many milliseconds of its own clock. */
const graceSteps = 10;
const graceStepMs = 100;
/** A step that ends so much later was interrupted by a pause. */
const lateMs = 1;

/**
 * Calls `missed` where `isAnswered` is false after `timeoutMs` and a grace, through which the process that `machine`
 * runs now was neither paused nor ended.
 */
export function expectAnswer(
  machine: Owner & { readonly clock: MachineClock },
  timeoutMs: number,
  isAnswered: () => boolean,
  missed: () => void,
): void {
  const clock = machine.clock.of(machine);
  const look = (due: number, stepsLeft: number): void => {
    if (isAnswered()) return;
    const isLate = clock.now() > due + lateMs;
    if (stepsLeft === 0 && !isLate) return missed();
    const next = clock.now() + graceStepMs;
    clock.timer(next, () => look(next, isLate ? graceSteps : stepsLeft - 1));
  };
  const due = clock.now() + timeoutMs;
  clock.timer(due, () => look(due, graceSteps));
}
