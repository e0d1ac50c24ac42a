/** Backups: a stream out of the first node that can give one, and a new store out of one. */
import { nodeHeader, RestoreAnswer, revisionHeader } from "../http/wire.ts";
import { decode, query } from "./answer.ts";
import { failed, open, problemIn, readBounded } from "./attempt.ts";
import { ClientError, isPassing } from "./error.ts";
import type { CallOptions, ReadOptions } from "./options.ts";
import { linked, type LinkedSignal, pause, type Session } from "./session.ts";

const RETRY_DELAY_MS = 500;

/** A backup on its way. Abort the call's signal to give it up. */
export interface Backup {
  /** The store's revision that it holds. */
  readonly revision: number;
  /** The node that gives it. */
  readonly endpoint: string;
  /** It has no length, and is whole only where it ends with its checksum: `holdfast verify` says so. */
  readonly bytes: ReadableStream<Uint8Array>;
}

export type BackupOptions = Pick<ReadOptions, "consistency" | "maxStaleMs" | "signal">;

/** See `Client.backup`. */
export async function takeBackup(
  session: Session,
  parameters: Readonly<Record<string, string>>,
  { signal }: CallOptions,
): Promise<Backup> {
  const deadline = performance.now() + session.options.timeoutMs;
  const abort = linked([session.options.signal, signal]);
  for (const tried = new Set<string>();;) {
    const endpoint = session.endpoints.choose("read", tried);
    try {
      return await begin(session, { endpoint, target: `/v1/backup${query(parameters)}`, abort });
    } catch (error) {
      if (!(error instanceof ClientError) || !isPassing(error)) throw error;
      session.endpoints.failed(endpoint, error);
      if (performance.now() + RETRY_DELAY_MS >= deadline) throw error;
      session.options.onRetry(error);
      tried.add(endpoint);
    }
    if (tried.size < session.endpoints.count) continue;
    tried.clear();
    await pause(RETRY_DELAY_MS, abort.signal);
  }
}

async function begin(session: Session, { endpoint, target, abort }: {
  readonly endpoint: string;
  readonly target: string;
  readonly abort: LinkedSignal;
}): Promise<Backup> {
  const { fetch, attemptTimeoutMs } = session.options;
  // It is only for the beginning that there is a time.
  const attempt = linked([abort.signal]);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    attempt.abort();
  }, attemptTimeoutMs);
  try {
    const response = await open({ method: "GET", target }, { fetch, endpoint }, attempt.signal);
    const { status, headers, body } = response;
    session.endpoints.answered({ endpoint, headers });
    if (status !== 200 || !headers.has(nodeHeader) || body === null) {
      const answer = { status, headers, body: await readBounded(response), endpoint };
      throw problemIn(answer, { isRead: true });
    }
    session.endpoints.worked(endpoint);
    return { revision: Number(headers.get(revisionHeader) ?? 0), endpoint, bytes: body };
  } catch (error) {
    if (error instanceof ClientError) throw error;
    const { signal } = abort;
    throw failed(error, { endpoint, isMet: true, isRead: true, signal }, isLate);
  } finally {
    clearTimeout(timer);
  }
}

/** See `Client.restore`. */
export async function restoreBackup(
  session: Session,
  backup: Uint8Array,
  { signal }: CallOptions,
): Promise<RestoreAnswer> {
  const answer = await session.send({
    method: "POST",
    target: "/v1/restore",
    kind: "write",
    // It takes what it takes.
    attemptTimeoutMs: session.options.timeoutMs,
    headers: { "content-type": "application/octet-stream" },
    body: backup,
    signal,
  });
  return decode(RestoreAnswer, answer, "write");
}
