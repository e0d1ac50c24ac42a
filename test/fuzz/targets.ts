/** All that is fuzzed. */
import { cbor, commands, log, peer, records, snapshots } from "./decoder-targets.ts";
import { http } from "./http-target.ts";
import type { Target } from "./target.ts";

export const targets: readonly Target[] = [http, cbor, peer, records, log, commands, snapshots];
