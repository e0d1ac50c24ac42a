import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { readConfigFile } from "../../src/cli/config-file.ts";
import { problemsOf, readNodeConfig } from "../../src/config.ts";
import { effectiveOptions, exampleFile } from "../../src/config/effective.ts";
import { CONFIG_FILE_BYTES_MAX, parseConfigFile } from "../../src/config/file.ts";
import { nodeOptions } from "../../src/config/options.ts";
import { BadConfiguration } from "../../src/errors.ts";

const secret = "0123456789012345678901234567890123456789";
const [a, b] = ["http://127.0.0.1:4001", "http://127.0.0.1:4002"];

/** What is wrong with a file of these lines. */
function problems(...lines: string[]): readonly string[] {
  return problemsOf({}, {}, parseConfigFile("f.yaml", lines.join("\n")));
}

describe("a configuration file", () => {
  it("has the table's names, and values as they are spelled", () => {
    const text = `# a comment
id: n2
listen: 127.0.0.1:4002
electionTimeout: 1s
priority: 7
leaseReads: true
snapshotBytes: 1048576
maxClockDrift: 0.05
secret: ${secret}
data: "./a b"
logLevel:
`;
    const config = readNodeConfig({}, {}, parseConfigFile("f.yaml", text));
    assert.equal(config.id, "n2");
    assert.deepEqual(config.listen, { host: "127.0.0.1", port: 4002 });
    assert.equal(config.electionTimeoutMs, 1000);
    assert.equal(config.priority, 7);
    assert.equal(config.leaseReads, true);
    assert.equal(config.snapshotBytes, 1_048_576);
    assert.equal(config.maxClockDrift, 0.05);
    // As a number it would have lost its last digits.
    assert.deepEqual(config.secrets, [secret]);
    assert.equal(config.data, "./a b");
    assert.equal(config.logLevel, "info");
  });

  it("takes members as text, as a map and as a list", () => {
    const expected = { n1: a, n2: b };
    for (
      const text of [
        `peers: n1=${a},n2=${b}`,
        `peers: {n1: "${a}", n2: "${b}"}`,
        `peers:\n  n1: ${a}\n  n2: ${b}`,
        `peers:\n  - n1=${a}\n  - n2=${b}`,
      ]
    ) {
      assert.deepEqual(readNodeConfig({}, {}, parseConfigFile("f", text)).peers, expected, text);
    }
    const servers = `join: dns:a\nsecret: "${secret}"\ndnsServer: [10.0.0.1, "10.0.0.2:5353"]`;
    const { discovery } = readNodeConfig({}, {}, parseConfigFile("f", servers));
    assert.equal(discovery?.servers.length, 2);
  });

  it("counts after flags and variables, and before the defaults", () => {
    const file = parseConfigFile("f.yaml", "id: file\npriority: 1\nelectionTimeout: 1s\n");
    const flags = { id: "flag" };
    const environment = { HOLDFAST_ID: "variable", HOLDFAST_PRIORITY: "2" };
    const config = readNodeConfig(flags, environment, file);
    assert.deepEqual([config.id, config.priority, config.electionTimeoutMs], ["flag", 2, 1000]);
    const found = effectiveOptions({ flags, environment, file }, config);
    const places = Object.fromEntries(found.map(({ name, source }) => [name, source]));
    assert.deepEqual(places["id"], { from: "flag", name: "--id" });
    assert.deepEqual(places["priority"], { from: "environment", name: "HOLDFAST_PRIORITY" });
    assert.deepEqual(places["electionTimeout"], {
      from: "file",
      path: "f.yaml",
      line: 3,
      column: 18,
    });
    assert.deepEqual(places["storage"], { from: "default" });
    assert.equal(found.find(({ name }) => name === "data")?.value, "./data/flag");
  });

  it("says where an unknown name stands, and which was meant", () => {
    assert.deepEqual(problems("id: n1", "election-timeout: 1s", "  ", "peer: x", "colour: red"), [
      "f.yaml:2:1: election-timeout is no option: did you mean electionTimeout?",
      "f.yaml:4:1: peer is no option: did you mean peers?",
      "f.yaml:5:1: colour is no option; holdfast config example lists them",
    ]);
    assert.match(problems("HOLDFAST_LOG_LEVEL: info")[0] ?? "", /did you mean logLevel\?$/);
    assert.match(problems("config: other.yaml")[0] ?? "", /^f\.yaml:1:1: config can't stand in/);
  });

  it("says where a wrong value stands and what it takes", () => {
    const [first, ...others] = problems("id: n1", "electionTimeout:   soon");
    assert.match(first ?? "", /^--election-timeout takes .*; f\.yaml:2:20 has "soon"$/);
    assert.deepEqual(others, []);
    assert.match(problems("priority: [1]")[0] ?? "", /^f\.yaml:1:11: priority takes .* a list$/);
    assert.match(problems("id: {n: 1}")[0] ?? "", /^f\.yaml:1:5: id takes .* a map$/);
    assert.match(problems("peers: [[n1]]")[0] ?? "", /^f\.yaml:1:9: peers has a map or a list/);
    assert.match(problems(`peers: [n1=${a}, "x,y"]`)[0] ?? "", /^f\.yaml:1:8: .* a comma/);
    assert.doesNotMatch(problems("secret: hunter2").join(), /hunter2/);
  });

  it("refuses what makes a file mean something else than it says", () => {
    const aliased = problems("id: &x n1", "data: *x");
    assert.match(aliased[0] ?? "", /^f\.yaml:1:8: id has an anchor/);
    assert.match(aliased[1] ?? "", /^f\.yaml:2:7: data is an alias/);
    assert.match(problems("priority: !!int 3")[0] ?? "", /a tag/);
    assert.match(problems("id: n1", "id: n2")[0] ?? "", /^f\.yaml:2:1: .*unique/);
    assert.match(problems("id: n1", "---", "id: n2")[0] ?? "", /a second document/);
    assert.match(problems("id: [")[0] ?? "", /^f\.yaml:1:/);
    assert.match(problems("- id")[0] ?? "", /a map is needed/);
    assert.match(problems("? [id]", ": n1")[0] ?? "", /no option/);
    assert.deepEqual(problems("# nothing"), []);
  });

  it("tells all problems at once, each of them once", () => {
    const file = parseConfigFile("f.yaml", "colour: red\nelectionTimeout: soon\nlogLevel: trace\n");
    const flags = { listen: "10.0.0.1:4001", id: "a b" };
    const said = problemsOf(flags, { HOLDFAST_PRIORITY: "x" }, file);
    assert.deepEqual(said.map((line) => line.split(" ")[0] ?? "").sort(), [
      "--election-timeout",
      "--id",
      "--log-level",
      "--priority",
      "f.yaml:1:1:",
    ]);
    const rules = problemsOf({ listen: "10.0.0.1:4001", heartbeatInterval: "400ms" }, {}, null);
    const refused = rules.map((line) => line.split(" ")[0]);
    assert.deepEqual(refused, ["--heartbeat-interval", "--secret", "--auth"]);
    assert.deepEqual(problemsOf({}, {}, null), []);
  });

  it("stays small and quick with hostile text", () => {
    const text = "a: {".repeat(CONFIG_FILE_BYTES_MAX / 4);
    assert.ok(parseConfigFile("f.yaml", text).problems.length <= 50);
  });

  it("is exemplified by one that has every option's default", () => {
    const example = exampleFile();
    assert.deepEqual(problemsOf({}, {}, parseConfigFile("f", example)), []);
    const written = example.replaceAll(/^#([a-z]\w*:)/gmi, "$1");
    const file = parseConfigFile("f", written);
    assert.deepEqual(problemsOf({}, {}, file), []);
    assert.deepEqual(readNodeConfig({}, {}, file), readNodeConfig({}, {}));
    for (const name of Object.keys(nodeOptions)) {
      if (name !== "config") assert.ok(written.includes(`\n${name}:`), name);
    }
  });
});

describe("finding the configuration file", () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-config-"));
  after(() => rmSync(directory, { recursive: true, force: true }));
  const put = (name: string, content: string | Uint8Array, mode = 0o600): string => {
    const path = join(directory, name);
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  };
  const refusal = (path: string): string => {
    try {
      readConfigFile({ config: path }, {});
    } catch (error) {
      assert.ok(error instanceof BadConfiguration);
      return error.message;
    }
    assert.fail("it was read");
  };

  it("takes the flag's before the variable's, and none where neither names one", () => {
    const [one, two] = [put("one.yaml", "id: one"), put("two.yaml", "id: two")];
    const read = readConfigFile({ config: one }, { HOLDFAST_CONFIG: two });
    assert.equal(read?.values.get("id")?.text, "one");
    const other = readConfigFile({}, { HOLDFAST_CONFIG: two });
    assert.equal(other?.values.get("id")?.text, "two");
    assert.equal(readConfigFile({}, { HOLDFAST_CONFIG: "" }), null);
  });

  it("warns of secrets that every user may read, and of nothing else", () => {
    const lines = `id: n1\nsecret: "${secret}"\n`;
    const { warnings = [] } = readConfigFile({ config: put("open.yaml", lines, 0o644) }, {}) ?? {};
    assert.match(warnings.join("\n"), /^\S*open\.yaml holds secret and every user/);
    assert.ok(!warnings.join().includes(secret));
    assert.deepEqual(readConfigFile({ config: put("own.yaml", lines) }, {})?.warnings, []);
    const dull = put("dull.yaml", "id: n1", 0o644);
    assert.deepEqual(readConfigFile({ config: dull }, {})?.warnings, []);
  });

  it("refuses what is missing, no file, too large or no text", () => {
    assert.match(refusal(join(directory, "none.yaml")), /^--config .*none\.yaml .*ENOENT$/);
    assert.match(refusal(directory), /^--config .* is no file$/);
    const large = put("large.yaml", "#".repeat(CONFIG_FILE_BYTES_MAX + 1));
    assert.match(refusal(large), /^--config .* over 65536 bytes$/);
    assert.match(refusal(put("bytes.yaml", new Uint8Array([0xff, 0xfe]))), /is not UTF-8$/);
  });
});
