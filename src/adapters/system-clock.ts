/** Time and turns of the event loop, as the machine has them. */
import type { Clock } from "../ports.ts";

/** `setTimeout` holds its delay in a signed 32-bit integer and fires at once beyond it; longer waits go in steps. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

/** Makes a {@link Clock} over `performance.now`, `Date.now`, `setTimeout` and `setImmediate`. */
export function createSystemClock(): Clock {
  return {
    now: () => performance.now(),
    wallNow: () => Date.now(),
    timer: startTimer,
    // Of the ways to yield, `setImmediate` alone lets pending I/O run on all three runtimes: under Deno a
    // MessageChannel starves it for ever, and `setTimeout` costs a millisecond.
    yield: () => new Promise((resolve) => setImmediate(resolve)),
  };
}

function startTimer(at: number, callback: () => void): () => void {
  let timeout: ReturnType<typeof setTimeout> | null = null;
  const arm = (): void => {
    const delay = Math.min(Math.max(0, Math.ceil(at - performance.now())), TIMEOUT_MS_MAX);
    timeout = setTimeout(() => {
      // Runtimes keep whole milliseconds and may call a fraction early.
      if (performance.now() < at) return arm();
      timeout = null;
      callback();
    }, delay);
  };
  arm();
  return () => {
    if (timeout !== null) clearTimeout(timeout);
    timeout = null;
  };
}
