/** Resident memory for many keys: what the largest node grew by. */
import type { Bench, Section } from "../bench.ts";
import { type Memory, memoryOf, settled } from "../proc.ts";
import type { Replicated } from "../system.ts";
import { count, mebibytes, NONE, ratio } from "../table.ts";
import { judge, type TargetName, type Verdict, verdictCell } from "../targets.ts";
import { KEY_BYTES } from "../workload.ts";

/** Of the node that has the most, before the keys and with them. */
export interface Footprint {
  readonly system: string;
  readonly before: Memory;
  readonly after: Memory;
}

export function footprintOf(store: Replicated): Memory {
  const memories = store.pids().map(memoryOf);
  return {
    resident: Math.max(...memories.map(({ resident }) => resident)),
    anonymous: Math.max(...memories.map(({ anonymous }) => anonymous)),
  };
}

export async function fullAfter(store: Replicated, before: Memory): Promise<Footprint> {
  await settled(store.pids());
  return { system: store.label, before, after: footprintOf(store) };
}

/** Judges growth: a runtime's own size is there without a key. */
export function memorySection({ options }: Bench, data: readonly Footprint[]): Section {
  const { runtimes, bigKeys, valueBytes } = options;
  const payload = bigKeys * (KEY_BYTES + valueBytes);
  const grown = ({ before, after }: Footprint): number => after.resident - before.resident;
  const etcd = data.find(({ system }) => system === "etcd");
  const verdicts: Verdict[] = [];
  const rows = data.map((footprint) => {
    const { system, before, after } = footprint;
    const runtime = runtimes.find((one) => one === system);
    const over = (base: number, target: TargetName): string => {
      const value = grown(footprint) / base;
      if (runtime === undefined || Number.isNaN(value)) return ratio(value);
      const verdict = judge(target, runtime, value);
      verdicts.push(verdict);
      return verdictCell(verdict);
    };
    return [
      system,
      mebibytes(before.resident),
      mebibytes(after.resident),
      mebibytes(after.anonymous),
      count(grown(footprint) / bigKeys),
      over(payload, "memoryPayload"),
      etcd === undefined ? NONE : over(grown(etcd), "memoryEtcd"),
    ];
  });
  return {
    title: `Memory for ${count(bigKeys)} keys (${KEY_BYTES} B key, ${valueBytes} B value)`,
    heads: [
      "system",
      "RSS before, MiB",
      "RSS with them, MiB",
      "of it not files, MiB",
      "growth, bytes a key",
      "growth ÷ payload",
      "growth ÷ etcd",
    ],
    rows,
    notes: [
      "the node that has most, when it has come to rest; of etcd's, its mapped database file counts too",
    ],
    data,
    verdicts,
  };
}
