/** What looks after a member for as long as it is one: what it stands on, whether its cluster still has it, its root token. */
import type { Replica } from "../src/replica.ts";
import { Watchdog } from "../src/replica/watchdog.ts";
import type { Surroundings } from "./member.ts";
import { watchForRemoval } from "./removal-watch.ts";
import { provideRootToken } from "./root-token.ts";

/** What is found. */
export interface MemberEvents {
  readonly clusterId: string;
  readonly onRemoved: () => void;
  /** The member can't go on. */
  readonly onFailure: (error: Error) => void;
}

/** Begins to look. Returns what ends it. */
export function watchMember<Result>(
  around: Surroundings<Result>,
  replica: Replica<Result>,
  { clusterId, onRemoved, onFailure }: MemberEvents,
): () => void {
  const { self, clock, config, log, metrics, service, sayHello } = around;
  const watchdog = new Watchdog({
    clock,
    log,
    observer: metrics.watchdog,
    electionTimeoutMs: config.electionTimeoutMs,
    status: () => replica.status(),
  });
  watchdog.start();
  const endRemovalWatch = watchForRemoval({
    self,
    leader: () => replica.status().leader,
    configuration: () => replica.status().configuration,
    sayHello,
    clock,
    clusterId,
    onRemoved,
  });
  const { machine, routes, replica: view } = service.http(replica);
  const endAccess = routes === "all"
    ? provideRootToken({ config, replica: view, machine, clock, log, onFailure })
    : () => {};
  return () => {
    watchdog.stop();
    endRemovalWatch();
    endAccess();
  };
}
