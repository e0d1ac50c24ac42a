/** A server that ended by itself, as Deno's does where it can't accept for want of file descriptors, listens again. */

/** How long it waits before, in milliseconds. */
const AGAIN_MS = 100;

interface Ending {
  /** Settles when the server has ended; rejects where that was not asked for. */
  readonly finished: Promise<void>;
}

/** Listens now, and again whenever `finished` rejects. @throws what the first `listen` throws. */
export function keepListening<Server extends Ending>(
  listen: () => Server,
): { readonly current: () => Server; readonly stop: () => void } {
  let server = listen();
  let stopped = false;
  const watch = async (): Promise<void> => {
    while (!stopped) {
      try {
        return await server.finished;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
        if (!stopped) server = tried(listen) ?? server;
      }
    }
  };
  void watch();
  return { current: () => server, stop: () => stopped = true };
}

/** Null where it can't be yet: the one that ended says so again. */
function tried<Server>(listen: () => Server): Server | null {
  try {
    return listen();
  } catch {
    return null;
  }
}
