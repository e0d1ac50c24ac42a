/** Waiting that is told of: nothing is said of what is over soon. */
import type { Arguments } from "./arguments.ts";
import { tellProgress } from "./output.ts";

/** What is over by then is not told; and between two looks. */
const INTERVAL_MS = 2_000;

/** Tells, once it has lasted, what `action` waits for; again where that has changed. */
export async function patiently<T>(
  args: Arguments,
  waitsFor: () => Promise<string>,
  action: () => Promise<T>,
): Promise<T> {
  let last = "";
  let isOver = false;
  const look = async (): Promise<void> => {
    const line = await waitsFor();
    if (isOver) return;
    if (line !== last) tellProgress(args, line);
    last = line;
    timer = setTimeout(() => void look(), INTERVAL_MS);
  };
  let timer = setTimeout(() => void look(), INTERVAL_MS);
  try {
    return await action();
  } finally {
    isOver = true;
    clearTimeout(timer);
  }
}
