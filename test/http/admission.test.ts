import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Admission } from "../../src/http/admission.ts";

const limits = {
  turnRequestsMax: 4,
  replicaDelayMs: 100,
  replicaRequestsMin: 3,
  admissionDelayMsMax: 1000,
  requestTimeoutMs: 5000,
};

const scenes: Scene[] = [];

/** Requests that come to the replica as soon as they begin, and stay there until they are told to end. */
class Scene {
  now = 1000;
  hasLeader = true;
  readonly admission: Admission = new Admission(limits, () => this.now, () => this.hasLeader);
  /** Those that have begun, in order, and how long they waited. */
  readonly begun: number[] = [];
  readonly waitedMs: number[] = [];
  readonly refused: number[] = [];
  #open = 0;
  #came = 0;
  readonly #ends: (() => void)[] = [];

  constructor() {
    scenes.push(this);
  }

  come(count: number): void {
    for (let each = 0; each < count; each++) void this.#one(this.#came++);
  }

  async #one(n: number): Promise<void> {
    const entered = this.admission.enter(this.#open);
    this.#open++;
    const waitedMs = entered === null ? 0 : await entered;
    if (waitedMs === null) {
      this.refused.push(n);
    } else {
      this.begun.push(n);
      this.waitedMs.push(waitedMs);
      await this.admission.through(new Promise<void>((resolve) => this.#ends.push(resolve)));
    }
    this.#open--;
  }

  end(count: number): void {
    for (const end of this.#ends.splice(0, count)) end();
  }

  /** Until those that wait were looked at, where nothing else happens. */
  async looks(): Promise<void> {
    const { admission } = this;
    const proceeds = admission.looks;
    while (admission.looks < proceeds + 2 && admission.waiting > 0) await sleep(1);
    await this.turns();
  }

  async turns(count = 3): Promise<void> {
    for (let turn = 0; turn < count; turn++) await new Promise((done) => setImmediate(done));
  }
}

/** As many as a replica ends at a fast rate: the window is wide open then. */
async function warmedUp(): Promise<Scene> {
  const scene = new Scene();
  for (let n = 0; n < 200; n++) {
    scene.come(1);
    scene.end(1);
    await scene.turns(1);
  }
  scene.begun.length = 0;
  return scene;
}

describe("admission", () => {
  // What still waits would be waited for.
  afterEach(() => {
    for (const scene of scenes.splice(0)) scene.now = Infinity;
  });

  it("lets a few in without a look", () => {
    const { admission } = new Scene();
    assert.equal(admission.enter(0), null);
    assert.equal(admission.enter(2), null);
    assert.equal(admission.waiting, 0);
  });

  it("begins a bounded number in a turn of the event loop, in the order of their coming", async () => {
    const scene = await warmedUp();
    scene.come(15);
    const atOnce = scene.begun.length;
    assert.ok(atOnce <= limits.replicaRequestsMin + limits.turnRequestsMax, `${atOnce} at once`);
    assert.equal(scene.admission.waiting, 15 - atOnce);
    await scene.turns(1);
    assert.ok(scene.begun.length <= atOnce + limits.turnRequestsMax);
    await scene.turns(20);
    assert.deepEqual(scene.begun, Array.from({ length: 15 }, (_, n) => n + 200));
  });

  it("gives the replica no more than it ends in the delay that is wanted", async () => {
    const scene = await warmedUp();
    scene.come(100);
    await scene.turns(50);
    // 200 ended in the last second: a tenth of them in a tenth of a second.
    assert.ok(scene.begun.length >= 15 && scene.begun.length <= 21, `${scene.begun.length}`);
    scene.end(5);
    const before = scene.begun.length;
    await scene.turns(5);
    assert.ok(scene.begun.length - before >= 4 && scene.begun.length - before <= 7);
  });

  it("always lets some be at the replica, however slow that was", async () => {
    const scene = new Scene();
    scene.come(10);
    await scene.turns();
    assert.equal(scene.begun.length, limits.replicaRequestsMin);
    scene.now += 500;
    scene.end(1);
    await scene.turns();
    assert.equal(scene.begun.length, limits.replicaRequestsMin + 1);
    assert.equal(scene.waitedMs.at(-1), 500);
  });

  it("lets none follow while the oldest at the replica hangs", async () => {
    const scene = await warmedUp();
    scene.come(4);
    await scene.turns();
    assert.equal(scene.begun.length, 4);
    scene.now += 2 * limits.replicaDelayMs + 1;
    scene.come(1);
    await scene.turns();
    assert.equal(scene.begun.length, 4);
    scene.end(4);
    await scene.turns();
    assert.equal(scene.begun.length, 5);
  });

  it("refuses what has waited too long, also where nothing else happens", async () => {
    const scene = new Scene();
    scene.come(5);
    await scene.turns();
    scene.now += limits.admissionDelayMsMax;
    await sleep(50);
    assert.deepEqual(scene.refused, []);
    scene.now += 1;
    for (let looks = 0; looks < 400 && scene.refused.length < 2; looks++) await sleep(5);
    assert.deepEqual(scene.refused, [3, 4]);
    assert.equal(scene.admission.waiting, 0);
  });

  it("counts no wait for a leader, and lets the replica say that there is none", async () => {
    const scene = new Scene();
    scene.hasLeader = false;
    scene.come(5);
    await scene.looks();
    scene.now += limits.requestTimeoutMs;
    await scene.looks();
    assert.deepEqual([scene.begun, scene.refused], [[0, 1, 2], []]);
    scene.come(1);
    scene.now += 1;
    await scene.looks();
    assert.deepEqual([scene.begun, scene.refused], [[0, 1, 2, 3, 4], []]);

    scene.now += limits.admissionDelayMsMax;
    await scene.looks();
    scene.hasLeader = true;
    scene.now += limits.admissionDelayMsMax;
    await scene.looks();
    assert.deepEqual(scene.refused, []);
    scene.now += 1;
    await scene.looks();
    assert.deepEqual(scene.refused, [5]);
  });
});
