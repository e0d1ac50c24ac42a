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
      rest: [],
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

  it("takes a negative number as a value or an operand", () => {
    assert.deepEqual(parseArguments(["k", "-12", "--id", "-3"], syntax), {
      flags: { id: "-3" },
      operands: ["k", "-12"],
      rest: [],
      help: false,
    });
    assert.match(refusal("k", "-1x"), /^-1 is not a flag/);
  });

  it("takes what follows -- and a lone - as operands", () => {
    assert.deepEqual(parseArguments(["--", "--id", "-"], syntax).operands, ["--id", "-"]);
    assert.deepEqual(parseArguments(["k", "-"], syntax).operands, ["k", "-"]);
  });

  it("leaves what follows -- alone where that is another's command line", () => {
    const running: Syntax = { ...syntax, operands: ["NAME"], rest: "COMMAND" };
    const { operands, rest, flags } = parseArguments(
      ["n", "--json", "--", "a", "--", "-x"],
      running,
    );
    assert.deepEqual([operands, rest, flags], [["n"], ["a", "--", "-x"], { json: "on" }]);
    assert.equal(parseArguments(["n", "--", "a", "--help"], running).help, false);
    for (const argv of [["n"], ["n", "--"]]) {
      assert.throws(() => parseArguments(argv, running), /COMMAND is missing, behind --/);
    }
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
