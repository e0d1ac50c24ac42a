import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseArguments, type Syntax } from "../../src/cli/arguments.ts";
import { BadConfiguration } from "../../src/errors.ts";

const syntax: Syntax = {
  flags: {
    id: { takes: "an id" },
    leaseReads: { takes: "on or off", isSwitch: true },
    json: { takes: "", bare: true },
  },
  operands: ["KEY", "[VALUE]"],
};

function refusal(...argv: string[]): string {
  try {
    parseArguments(argv, syntax);
  } catch (error) {
    assert.ok(error instanceof BadConfiguration);
    return error.message;
  }
  assert.fail(`accepted ${argv.join(" ")}`);
}

describe("a command line", () => {
  it("reads flags in both spellings, switches, and operands in any place", () => {
    assert.deepEqual(parseArguments(["k", "--id", "n2", "--lease-reads", "--json", "v"], syntax), {
      flags: { id: "n2", leaseReads: "on", json: "on" },
      operands: ["k", "v"],
      help: false,
    });
    assert.deepEqual(parseArguments(["--id=-x", "k"], syntax).flags, { id: "-x" });
  });

  it("lets a switch say on or off", () => {
    assert.deepEqual(parseArguments(["k", "--lease-reads=off"], syntax).flags, {
      leaseReads: "off",
    });
    assert.deepEqual(parseArguments(["k", "--lease-reads", "off"], syntax).flags, {
      leaseReads: "off",
    });
    assert.deepEqual(parseArguments(["--lease-reads", "k"], syntax).operands, ["k"]);
  });

  it("takes what follows -- and a lone - as operands", () => {
    assert.deepEqual(parseArguments(["--", "--id", "-"], syntax).operands, ["--id", "-"]);
    assert.deepEqual(parseArguments(["k", "-"], syntax).operands, ["k", "-"]);
  });

  it("names what it does not know or misses", () => {
    assert.match(refusal("k", "--bogus"), /^--bogus is not a flag/);
    assert.match(refusal("k", "--__proto__"), /^--__proto__ is not a flag/);
    assert.match(refusal("k", "-x"), /^-x is not a flag/);
    assert.match(refusal("k", "--id"), /^--id takes an id; nothing is given/);
    assert.match(refusal("k", "--id", "--json"), /^--id takes an id; nothing is given/);
    assert.match(refusal("k", "--json=1"), /^--json takes no value/);
    assert.match(refusal("k", "--id=a", "--id=b"), /^--id is given twice/);
    assert.match(refusal(), /^KEY is missing/);
    assert.match(refusal("a", "b", "c"), /^"c" is one word too many/);
  });

  it("asks for help whatever else is wrong", () => {
    assert.equal(parseArguments(["--bogus", "--help"], syntax).help, true);
    assert.equal(parseArguments(["-h"], syntax).help, true);
  });
});
