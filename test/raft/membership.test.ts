import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MalformedBytes } from "../../src/errors.ts";
import {
  type Configuration,
  decodeConfiguration,
  encodeConfiguration,
} from "../../src/raft/mod.ts";

const sound: Configuration = {
  voters: ["n1", "n2"],
  outgoing: [],
  learners: ["n3"],
  urls: { n1: "http://n1", n2: "http://n2" },
  incarnations: { n1: "life-1" },
  removed: ["n9"],
  next: { voters: ["n1", "n2", "n3"], learners: [] },
};

describe("a configuration", () => {
  it("is read as it was written", () => {
    assert.deepEqual(decodeConfiguration(encodeConfiguration(sound)), sound);
    const odd = { ...sound, learners: ["__proto__"], urls: JSON.parse('{"__proto__":"http://p"}') };
    const { next: _next, ...without } = odd;
    assert.deepEqual(decodeConfiguration(encodeConfiguration(without)), without);
  });

  const bad: Readonly<Record<string, Partial<Configuration>>> = {
    "without voters": { voters: [], next: { voters: ["n3"], learners: [] } },
    "that ends without voters": { next: { voters: [], learners: ["n3"] } },
    "with a learner that votes": { learners: ["n2"] },
    "with a learner that still votes": { outgoing: ["n3"] },
    "with an id that is none": { voters: ["n1", "n2", "n 4"] },
    "with a member twice": { voters: ["n1", "n1"] },
    "with a stranger's URL": { urls: { n7: "http://n7" } },
    "with a stranger's life": { incarnations: { n7: "life-7" } },
    "with a life that is none": { incarnations: { n1: "a life" } },
    "with a member that was removed": { removed: ["n3"] },
    "that ends with a stranger": { next: { voters: ["n1", "n7"], learners: [] } },
    "that ends with a learner that votes": { next: { voters: ["n1"], learners: ["n1"] } },
  };
  for (const [name, parts] of Object.entries(bad)) {
    it(`${name} is refused`, () => {
      const payload = encodeConfiguration({ ...sound, ...parts });
      assert.throws(() => decodeConfiguration(payload), MalformedBytes);
    });
  }

  it("that is spelled otherwise than it is written is refused", () => {
    const text = new TextDecoder().decode(encodeConfiguration(sound));
    for (
      const other of [
        ` ${text}`,
        text.replace('["n1","n2"]}', '["n2","n1"]}'),
        text.replace('"removed":["n9"],', '"removed":[],'),
        text.replace('"removed"', '"gone":1,"removed"'),
        text.slice(0, -1),
        "[]",
      ]
    ) {
      assert.notEqual(other, text);
      assert.throws(() => decodeConfiguration(new TextEncoder().encode(other)), MalformedBytes);
    }
    const removed = Array.from({ length: 1000 }, (_, n) => `${n}`.padStart(64, "r"));
    const payload = encodeConfiguration({ ...sound, removed });
    assert.throws(() => decodeConfiguration(payload), MalformedBytes);
  });
});
