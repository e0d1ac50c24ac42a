/**
 * Watchers: each reads the changes of a node's replica, woken as a stream of HTTP is, and goes on elsewhere when the
 * node is gone, from behind the last revision that it has seen all of. What it gets is compared, revision by revision,
 * with what was committed: complete, in order, once, with all events of a revision. A slow one falls off the history,
 * and begins anew.
 */
import type { Key } from "../../src/kv/key.ts";
import type { Change, ChangeEvent, Item } from "../../src/kv/store.ts";
import type { Machine } from "./node.ts";
import { keyName } from "./operation.ts";
import type { SimOptions } from "./options.ts";
import type { Oracles } from "./oracles.ts";
import type { Probes } from "./probes.ts";
import { Random } from "./random.ts";
import type { Reference } from "./reference.ts";
import { plainText } from "./result-text.ts";
import { seen } from "./server.ts";
import type { SimEvent, World } from "./world.ts";

export interface WatcherParts {
  readonly options: SimOptions;
  readonly world: World;
  readonly oracles: Oracles;
  readonly probes: Probes;
  readonly machines: readonly Machine[];
}

const watchersMax = 6;
/** Revisions that are read at a time. */
const readMax = 64;
/** How often a watcher leaves a node that still serves it. */
const leaveShare = 0.1;

export class Watchers {
  readonly #watchers: readonly Watcher[];

  constructor(parts: WatcherParts) {
    const { options } = parts;
    const random = new Random(options.seed, "watchers");
    const count = options.load.uses.has("watchers") ? random.whole(1, watchersMax) : 0;
    this.#watchers = Array.from({ length: count }, (_, i) => new Watcher(parts, i + 1));
    parts.oracles.onState = (id) => {
      for (const watcher of this.#watchers) watcher.isTold(id);
    };
  }

  start(): void {
    for (const watcher of this.#watchers) watcher.start();
  }
}

interface Attached {
  readonly machine: Machine;
  readonly life: number;
  readonly leave: () => void;
}

class Watcher {
  readonly #parts: WatcherParts;
  readonly #name: string;
  readonly #random: Random;
  readonly #start: Key;
  readonly #end: Key | null;
  /** Mean time between being woken and reading, in microseconds. */
  readonly #slowUs: number;
  /** Mean time between two looks at whether the node is still there. */
  readonly #lookUs: number;
  #attached: Attached | null = null;
  /** All changes up to this revision have been seen; -1 before the first attachment. */
  #at = -1;
  #read: SimEvent | null = null;

  constructor(parts: WatcherParts, number: number) {
    this.#parts = parts;
    this.#name = `watcher ${number}`;
    this.#random = new Random(parts.options.seed, this.#name);
    const { keys } = parts.options.load;
    const isAll = this.#random.chance(0.5);
    this.#start = isAll ? "" : keyName(this.#random.below(keys));
    this.#end = isAll || this.#random.chance(0.3) ? null : keyName(this.#random.whole(0, keys));
    this.#slowUs = this.#random.pick([0, 1000, 20_000, 500_000, 5_000_000]);
    this.#lookUs = this.#random.pick([20_000, 200_000, 1_000_000]);
  }

  start(): void {
    this.#parts.world.after(Math.round(this.#random.exponential(this.#lookUs)), () => {
      this.#look();
      this.start();
    });
  }

  /** The state of a node is another: nobody who watches it is left without word. */
  isTold(id: string): void {
    const present = this.#present();
    if (present?.id !== id || this.#read !== null) return;
    const revision = present.machine?.store.revision ?? 0;
    if (revision <= this.#at) return;
    this.#parts.oracles.fail(
      `${this.#name} on ${id} was not told that ${revision} is there, it has ${this.#at}`,
    );
  }

  /** The machine that it is at, while that runs the process that it came to. */
  #present(): Machine | null {
    if (this.#attached === null) return null;
    const { machine, life } = this.#attached;
    return machine.life === life && machine.machine !== null ? machine : null;
  }

  #look(): void {
    const present = this.#present();
    const stays = present !== null && !present.paused;
    if (stays && !this.#random.chance(leaveShare)) return;
    const running = this.#parts.machines.filter((each) => each.machine !== null && !each.paused);
    if (running.length > 0) this.#attach(this.#random.pick(running));
  }

  #attach(machine: Machine): void {
    const kv = machine.machine;
    if (kv === null) return;
    if (this.#attached !== null && this.#attached.machine !== machine) {
      this.#parts.probes.reached("watcher went on at another node");
    }
    this.#attached?.leave();
    if (this.#read !== null) this.#read.cancelled = true;
    this.#read = null;
    if (this.#at < 0) this.#at = this.#random.chance(0.5) ? kv.store.revision : kv.store.floor;
    machine.note(() => `is watched by ${this.#name} from ${this.#at}`);
    const leave = kv.watch(() => this.#wake());
    this.#attached = { machine, life: machine.life, leave };
    this.#wake();
  }

  #wake(): void {
    const present = this.#present();
    if (present === null || this.#read !== null) return;
    const { world } = this.#parts;
    const at = world.now + Math.round(this.#random.exponential(this.#slowUs));
    this.#read = world.atProcess(at, present, present.life, () => {
      this.#read = null;
      this.#reads(present);
    });
  }

  #reads(machine: Machine): void {
    const store = machine.machine?.store;
    if (store === undefined) return;
    const { oracles, probes } = this.#parts;
    for (let left = readMax; this.#at < store.revision; left--) {
      if (left === 0) return this.#wake();
      const revision = this.#at + 1;
      const change = store.change(revision);
      if (change === null) {
        const { floor } = store;
        if (revision > floor || floor > oracles.reference.model.floor) {
          return oracles.fail(
            `${this.#name} is refused ${revision} on ${machine.id}, whose oldest revision is ${floor}`,
          );
        }
        probes.reached("watcher fell off the history");
        this.#at = store.revision;
        return;
      }
      const wrong = wrongChange(change, revision, oracles.reference, (key) => this.#wants(key));
      if (wrong !== null) return oracles.fail(`${this.#name} on ${machine.id} ${wrong}`);
      probes.reached("watcher saw a revision");
      if (change.events.length > 1) probes.reached("watcher saw several events of a revision");
      this.#at = revision;
    }
  }

  #wants(key: Key): boolean {
    return key >= this.#start && (this.#end === null || key < this.#end);
  }
}

/** What is wrong with a change as a node tells it, or null. */
function wrongChange(
  change: Change,
  revision: number,
  { model }: Reference,
  wants: (key: Key) => boolean,
): string | null {
  const told = change.events.filter(({ key }) => wants(key)).map(eventText).join(" ");
  const committed = model.changes(revision).filter(({ key }) => wants(key)).map(eventText).join(
    " ",
  );
  if (change.revision === revision && told === committed) return null;
  return `saw ${told} at ${change.revision}, where ${committed} was committed at ${revision}`;
}

function eventText({ key, item, previous }: ChangeEvent): string {
  return `${key}: ${itemText(key, previous)} became ${itemText(key, item)};`;
}

function itemText(key: Key, item: Item | null): string {
  if (item === null) return "nothing";
  return plainText({ ...seen(key, item), created: item.created, due: item.due });
}
