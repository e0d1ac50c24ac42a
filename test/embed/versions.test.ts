import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Configuration } from "../../src/raft/types.ts";
import { HEARD_WITHIN_MS, Versions } from "../../runtimes/versions.ts";

class Scene {
  readonly versions: Versions = new Versions();
  readonly lines: string[] = [];
  readonly defects: Error[] = [];
  now = 1000;
  term = 1;
  format = 1;
  attended = 0;
  failure: Error | null = null;
  configuration: Configuration = {
    voters: ["n1", "n2", "n3"],
    outgoing: [],
    learners: [],
    urls: {},
  };

  constructor() {
    const formatNow = (): number => this.format;
    const termNow = (): number => this.term;
    this.versions.open({
      storage: {
        get format(): number {
          return formatNow();
        },
        raise: async (format) => {
          await Promise.resolve();
          if (this.failure !== null) throw this.failure;
          this.format = format;
        },
      },
      clock: { now: () => this.now },
      log: (_, message, fields) => this.lines.push(`${message} ${JSON.stringify(fields)}`),
      onDefect: (error) => this.defects.push(error),
    });
    this.versions.attach({
      id: "n1",
      get term(): number {
        return termNow();
      },
      members: () => ({ configuration: this.configuration }),
      attend: () => this.attended++,
    });
    this.attended = 0;
  }

  hear(...heard: readonly (readonly [string, number])[]): void {
    for (const [id, version] of heard) this.versions.hear(id, version);
  }

  /** What the leader's machine is told, once the disk knows. */
  async spoken(): Promise<number> {
    this.versions.spokenByAll();
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    return this.versions.spokenByAll();
  }
}

describe("what all members speak", () => {
  it("is known once each was heard in this term of office, and told once the disk bars others", async () => {
    const scene = new Scene();
    assert.equal(await scene.spoken(), 1);
    scene.hear(["n2", 2], ["n3", 2]);
    assert.equal(scene.attended, 2, "news is looked at");
    assert.equal(scene.versions.spokenByAll(), 1, "the disk doesn't know yet");
    assert.equal(await scene.spoken(), 2);
    assert.equal(scene.format, 2);
    assert.match(scene.lines[0] ?? "", /^releases before 0\.2\.0 can't use this data directory/);
  });

  it("waits for a member that is silent", async () => {
    const scene = new Scene();
    scene.hear(["n2", 2]);
    assert.deepEqual([await scene.spoken(), scene.format], [1, 1]);
  });

  it("waits for a learner, and for those that a joint change sends away", async () => {
    for (const kind of ["learners", "outgoing"] as const) {
      const scene = new Scene();
      scene.hear(["n2", 2], ["n3", 2]);
      scene.configuration = { ...scene.configuration, [kind]: ["n4"] };
      assert.equal(await scene.spoken(), 1, kind);
      scene.hear(["n4", 1]);
      assert.equal(await scene.spoken(), 1, kind);
      scene.hear(["n4", 2]);
      assert.equal(await scene.spoken(), 2, kind);
    }
  });

  it("waits for who was heard before this office, or too long ago: it may run another release by now", async () => {
    const scene = new Scene();
    await scene.spoken();
    scene.hear(["n2", 2], ["n3", 2]);
    scene.term = 2;
    scene.now++;
    assert.equal(await scene.spoken(), 1);
    const before = scene.attended;
    scene.hear(["n2", 2]);
    scene.now += HEARD_WITHIN_MS + 1;
    scene.hear(["n3", 2]);
    assert.equal(await scene.spoken(), 1);
    scene.hear(["n2", 2]);
    assert.equal(scene.attended - before, 3, "each time there was news");
    assert.equal(await scene.spoken(), 2);
  });

  it("goes by what a member spoke last: it may have been taken back", async () => {
    const scene = new Scene();
    scene.hear(["n2", 2], ["n3", 2], ["n2", 1]);
    assert.deepEqual([await scene.spoken(), scene.format], [1, 1]);
    assert.deepEqual(["n1", "n2", "n3", "n4"].map((id) => scene.versions.of(id)), [2, 1, 2, null]);
  });

  it("is not told where the disk fails, which ends the node", async () => {
    const scene = new Scene();
    scene.failure = new Error("no space");
    scene.hear(["n2", 2], ["n3", 2]);
    assert.equal(await scene.spoken(), 1);
    assert.equal(scene.defects[0]?.message, "no space");
  });

  it("has a line in the log for who is refused, and by whom this node is, once a minute", () => {
    const scene = new Scene();
    scene.format = 2;
    for (let n = 0; n < 3; n++) scene.versions.onRefused("n3", 1);
    scene.versions.onRefusal("n2", 3);
    assert.equal(scene.lines.length, 2);
    assert.match(
      scene.lines[0] ?? "",
      /n3 speaks version 1, and this cluster needs 2: upgrade it first/,
    );
    assert.match(scene.lines[1] ?? "", /this node was refused: upgrade it first/);
    scene.now += 60_000;
    scene.versions.onRefused("n3", 1);
    assert.equal(scene.lines.length, 3);
  });
});
