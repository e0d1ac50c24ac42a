/** What all machines of a run share. */
import type { Configuration } from "../../src/raft/types.ts";
import type { Network } from "./network.ts";
import type { SimOptions } from "./options.ts";
import type { Oracles } from "./oracles.ts";
import type { Probes } from "./probes.ts";
import type { Releases } from "./releases.ts";
import type { Trace } from "./trace.ts";
import type { World } from "./world.ts";

export interface Simulation {
  readonly options: SimOptions;
  readonly world: World;
  readonly network: Network;
  readonly trace: Trace;
  readonly probes: Probes;
  readonly oracles: Oracles;
  readonly birth: Configuration;
  /** By node; none where nothing is upgraded. */
  readonly releases: ReadonlyMap<string, Releases>;
}
