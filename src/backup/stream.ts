/** A backup as the body of an answer: made as fast as it is taken, and no further ahead than one piece. */

/** Bytes in one piece of the stream. */
const pieceBytes = 256 * 1024;

export interface BackupStreamOptions {
  /** Of the backup, each holding until the next is asked for. */
  readonly pieces: Iterator<Uint8Array>;
  /** Its taker takes nothing for so long: the stream ends broken, and what it holds of the store is given back. */
  readonly idleMs: number;
  /** Once, however it ends. */
  readonly onEnd: () => void;
}

/** The stream. Between pieces the event loop has its turn, however fast they are taken. */
export function backupStream(
  { pieces, idleMs, onEnd }: BackupStreamOptions,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let left: Iterator<Uint8Array> | null = pieces;
  let rest: Uint8Array = new Uint8Array(0);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const end = (): void => {
    if (left === null) return;
    left = null;
    clearTimeout(timer);
    onEnd();
  };
  /** The next bytes, copied; fewer than asked for only at the end. */
  const gather = (source: Iterator<Uint8Array>): Uint8Array<ArrayBuffer> => {
    const bytes = new Uint8Array(pieceBytes);
    let filled = 0;
    while (filled < pieceBytes) {
      if (rest.length === 0) {
        const next = source.next();
        if (next.done === true) return bytes.subarray(0, filled);
        rest = next.value;
      }
      const piece = rest.subarray(0, pieceBytes - filled);
      bytes.set(piece, filled);
      filled += piece.length;
      rest = rest.subarray(piece.length);
    }
    return bytes;
  };
  const watch = (controller: ReadableStreamDefaultController): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      end();
      controller.error(new Error(`nobody took of this backup for ${idleMs} ms`));
    }, idleMs);
  };
  return new ReadableStream({
    start: watch,
    pull: async (controller) => {
      await new Promise((resolve) => setTimeout(resolve));
      if (left === null) return;
      try {
        const bytes = gather(left);
        if (bytes.length > 0) controller.enqueue(bytes);
        if (bytes.length === pieceBytes) return watch(controller);
        end();
        controller.close();
      } catch (error) {
        end();
        throw error;
      }
    },
    cancel: end,
  }, { highWaterMark: 0 });
}
