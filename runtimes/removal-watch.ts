/**
 * A member that was cut off while it was removed hears of it from nobody: its former peers don't talk to it any more.
 * So one that has known no leader for a while asks them.
 */
import type { SayHello } from "../src/adapters/peer-hello.ts";
import type { Newborn } from "../src/adapters/data-directory.ts";
import { PeerUnreachable } from "../src/errors.ts";
import type { Clock } from "../src/ports.ts";
import type { Configuration, NodeId } from "../src/raft/types.ts";

/** How often it is looked whether a leader is known, in milliseconds. */
const LOOK_INTERVAL_MS = 500;
/** How long none is known before it asks, and before it asks again, in milliseconds. */
const PATIENCE_MS = 5000;
const HELLO_TIMEOUT_MS = 1000;

export interface RemovalWatchOptions {
  readonly self: Newborn;
  readonly clusterId: string;
  readonly leader: () => NodeId | null;
  /** Who takes part as far as this node knows. */
  readonly configuration: () => Configuration;
  readonly sayHello: SayHello;
  readonly clock: Clock;
  /** Called once, when a member says that a committed configuration has removed this node. */
  readonly onRemoved: () => void;
}

/** Begins to watch; returns the end of it. */
export function watchForRemoval(options: RemovalWatchOptions): () => void {
  const { clock, leader, onRemoved } = options;
  let since = clock.now();
  let cancel: () => void = () => {};
  let ended = false;
  const look = async (): Promise<void> => {
    if (leader() !== null) since = clock.now();
    if (clock.now() - since >= PATIENCE_MS) {
      const isRemoved = await askWhetherRemoved(options);
      since = clock.now();
      if (isRemoved && !ended) return onRemoved();
    }
    arm();
  };
  const arm = (): void => {
    if (!ended) cancel = clock.timer(clock.now() + LOOK_INTERVAL_MS, () => void look());
  };
  arm();
  return () => {
    ended = true;
    cancel();
  };
}

async function askWhetherRemoved(options: RemovalWatchOptions): Promise<boolean> {
  const { self, clusterId, configuration, sayHello } = options;
  const others = Object.entries(configuration().urls).filter(([id]) => id !== self.id);
  const answers = await Promise.all(others.map(async ([id, url]) => {
    const hello = { from: self.id, to: id, incarnation: self.incarnation, peers: null };
    try {
      return await sayHello({ id, url }, hello, HELLO_TIMEOUT_MS);
    } catch (error) {
      if (error instanceof PeerUnreachable) return null;
      throw error;
    }
  }));
  return answers.some((answer) =>
    answer?.state === "member" && answer.clusterId === clusterId &&
    answer.configuration.removed?.includes(self.id) === true
  );
}
