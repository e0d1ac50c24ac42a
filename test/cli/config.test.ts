import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { nodeHelp, readNodeConfig } from "../../src/config.ts";
import { DnsName } from "../../src/config/dns-name.ts";
import { environmentOf, flagOf, nodeOptions } from "../../src/config/options.ts";
import { BadConfiguration } from "../../src/errors.ts";

const secret = "0123456789abcdef0123456789abcdef";

function refusal(flags: Record<string, string>, environment: Record<string, string> = {}): string {
  try {
    readNodeConfig(flags, environment);
  } catch (error) {
    assert.ok(error instanceof BadConfiguration);
    assert.doesNotMatch(error.message, /\n/);
    return error.message;
  }
  assert.fail(`accepted ${JSON.stringify(flags)}`);
}

describe("a node's configuration", () => {
  it("has the documented defaults", () => {
    assert.deepEqual(readNodeConfig({}, {}), {
      id: "n1",
      listen: { host: "127.0.0.1", port: 4001 },
      advertise: "http://127.0.0.1:4001",
      peers: { n1: "http://127.0.0.1:4001" },
      join: null,
      discovery: null,
      data: "./data/n1",
      storage: "file",
      secrets: [],
      secretFile: null,
      tls: { cert: null, key: null, ca: null, clientCa: null },
      allowedHosts: [],
      allowedOrigins: [],
      auth: false,
      rootToken: null,
      recoverAccess: false,
      warnings: [],
      electionTimeoutMs: 500,
      heartbeatIntervalMs: 50,
      priority: 0,
      leaseReads: false,
      maxClockDrift: 0.1,
      diskReserveBytes: 64 * 1024 * 1024,
      snapshotEntries: 10_000,
      snapshotBytes: 64 * 1024 * 1024,
      trailingEntries: 1000,
      historyRevisions: 100_000,
      historyBytes: 16 * 1024 * 1024,
      backups: null,
      maxValueBytes: 1024 * 1024,
      requestTimeoutMs: 2000,
      logLevel: "info",
    });
  });

  it("takes the flag before the environment before the default", () => {
    const environment = { HOLDFAST_ID: "n2", HOLDFAST_SNAPSHOT_ENTRIES: "7", HOLDFAST_SECRET: "" };
    const config = readNodeConfig({ id: "n3" }, environment);
    assert.equal(config.id, "n3");
    assert.equal(config.data, "./data/n3");
    assert.equal(config.snapshotEntries, 7);
    assert.deepEqual(config.secrets, []);
  });

  it("reads durations, sizes, fractions and switches", () => {
    const config = readNodeConfig({
      electionTimeout: "1.5s",
      heartbeatInterval: "250ms",
      requestTimeout: "1m",
      snapshotBytes: "64KiB",
      maxValueBytes: "4096",
      maxClockDrift: "0.02",
      leaseReads: "true",
    }, {});
    assert.equal(config.electionTimeoutMs, 1500);
    assert.equal(config.heartbeatIntervalMs, 250);
    assert.equal(config.requestTimeoutMs, 60_000);
    assert.equal(config.snapshotBytes, 65_536);
    assert.equal(config.maxValueBytes, 4096);
    assert.equal(config.maxClockDrift, 0.02);
    assert.equal(config.leaseReads, true);
  });

  it("names the flag and what it takes for every value that it refuses", () => {
    const bad: Record<keyof typeof nodeOptions, readonly string[]> = {
      config: ["", "a\0b"],
      id: ["", "a b", "n/1", "x".repeat(65)],
      listen: ["4001", ":4001", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "[zz]:1", "h:1/x"],
      advertise: [
        "127.0.0.1:4001",
        "ftp://a",
        "http://a/b?c",
        "http://u:p@a",
        "http://a?b",
        "http://",
        "http://0.0.0.0:4001",
        "http://[fe80::1]:4001",
      ],
      peers: [
        "",
        "n1",
        "n1=",
        "=http://a",
        "n1=http://127.0.0.1:4001,",
        "n 1=http://a",
        "n1=http://169.254.0.1",
        "dns:",
        "dns:holdfast.example:0",
        "dns:holdfast.example:65536",
        "dns:a..b:4001",
        "dns:10.0.0.1/x",
        `dns:${"a".repeat(64)}`,
        "dns:a,n1=http://127.0.0.1:4001",
      ],
      peersExpect: ["0", "32", "three"],
      join: ["", "n1", "n1=", "=http://a", "n1=http://127.0.0.1:4001,", "n 1=http://a", "dns:"],
      dnsServer: ["", "dns.example", "10.0.0.1:0", "fd00::1", "10.0.0.256", "10.0.0.1,"],
      data: ["", "a\0b"],
      storage: ["disk", "FILE"],
      secret: ["short", `${secret},short`, `${secret},${secret}`, `${secret},`],
      secretFile: ["", "a\0b"],
      tlsCert: ["", "a\0b"],
      tlsKey: [""],
      tlsCa: [""],
      tlsClientCa: [""],
      allowedHosts: ["", "a b", "a:80", "http://a", "a,a"],
      allowedOrigins: ["", "a", "https://a/", "https://A", "https://a,https://a", "https://u@a"],
      auth: ["yes", "ON"],
      rootToken: ["", "short", `hf_id_${"x".repeat(43)}`, `hf_0123456789abcdef_${"x".repeat(31)}`],
      recoverAccess: ["maybe"],
      insecure: ["maybe"],
      electionTimeout: ["500", "0ms", "1.5", "-1s", "5m1s", "1e3ms", "0.5ms", "11m", "1 s", ".s"],
      heartbeatInterval: ["", "0ms", "ms"],
      priority: ["-1", "101", "1.5", "high"],
      leaseReads: ["yes", "ON"],
      maxClockDrift: ["-0.1", "0.6", "10%", "NaN", ".1"],
      diskReserve: ["1", "39MiB", "-1", "much"],
      snapshotEntries: ["0", "1.5", "1k", "-1"],
      snapshotBytes: ["1", "64MB", "64mib", "1.0001KiB"],
      trailingEntries: ["-1", "1000001"],
      historyRevisions: ["0", "1.5", "all"],
      historyBytes: ["-1", "2000MiB", "64mb"],
      backupDir: ["", "a\0b"],
      backupInterval: ["1", "999ms", "366d"],
      backupKeep: ["0", "all"],
      maxValueBytes: ["0", "9MiB"],
      requestTimeout: ["2", "0s", "Infinitys"],
      logLevel: ["trace", "INFO"],
    };
    for (const [name, values] of Object.entries(bad)) {
      const option = nodeOptions[name as keyof typeof nodeOptions];
      for (const value of values) {
        const message = refusal({ [name]: value });
        assert.ok(message.startsWith(`${flagOf(name)} takes ${option.takes}; got `), message);
      }
    }
  });

  it("names flag and variable where the environment is wrong", () => {
    assert.match(
      refusal({}, { HOLDFAST_ELECTION_TIMEOUT: "soon" }),
      /^--election-timeout takes .*; HOLDFAST_ELECTION_TIMEOUT is "soon"$/,
    );
  });

  it("keeps an odd value to one line, and a secret to itself", () => {
    assert.match(refusal({ id: "a\nb" }), /got "a\\nb"$/);
    assert.doesNotMatch(refusal({ secret: "hunter2" }), /hunter2/);
  });

  it("refuses a heartbeat of more than a third of the election timeout", () => {
    const electionTimeout = "300ms";
    assert.match(
      refusal({ electionTimeout, heartbeatInterval: "101ms" }),
      /^--heartbeat-interval /,
    );
    assert.equal(
      readNodeConfig({ electionTimeout, heartbeatInterval: "100ms" }, {}).heartbeatIntervalMs,
      100,
    );
  });

  it("refuses peers that lack this node, and ids or URLs named twice", () => {
    const [a, b] = ["http://127.0.0.1:4001", "http://127.0.0.1:4002"];
    assert.match(refusal({ peers: `n1=${a},n1=${b}` }), /^--peers /);
    assert.match(refusal({ peers: `n1=${a},n2=${a}/` }), /^--peers /);
    const { peers } = readNodeConfig({ peers: `n1=${a}/,__proto__=${b}` }, {});
    assert.deepEqual(Object.entries(peers), [["n1", a], ["__proto__", b]]);
  });

  it("takes those whom a newcomer asks instead of peers, and leaves itself out", () => {
    const [a, b] = ["http://127.0.0.1:4001", "http://127.0.0.1:4004"];
    const newcomer = { id: "n4", listen: "127.0.0.1:4004" };
    const config = readNodeConfig({ ...newcomer, join: `n1=${a},n4=${b}` }, {});
    assert.deepEqual(config.join, { n1: a });
    assert.deepEqual(config.peers, { n4: b });
    assert.deepEqual(readNodeConfig(newcomer, { HOLDFAST_JOIN: `n1=${a}` }).join, { n1: a });
    assert.match(refusal({ ...newcomer, join: `n4=${b}` }), /^--join .*n4/);
    assert.match(refusal({ ...newcomer, join: `n1=${a}`, peers: `n4=${b}` }), /^--join .*--peers/);
    assert.match(refusal({ ...newcomer, join: "n1=http://10.0.0.1:4001" }), /^--secret .*10\.0/);
  });

  it("wants the advertised URL and the one among the peers to agree", () => {
    const peers = "n1=http://127.0.0.1:4001,n2=http://127.0.0.1:4002";
    assert.match(refusal({ peers, advertise: "http://127.0.0.1:4009" }), /^--advertise /);
    assert.match(refusal({ peers, listen: "127.0.0.1:4002" }), /^--advertise /);
    const named = readNodeConfig({ peers: "n1=http://localhost:4001" }, {});
    assert.equal(named.advertise, "http://localhost:4001");
    const mapped = readNodeConfig(
      { peers: "n1=http://127.0.0.1:80", advertise: "http://127.0.0.1", listen: "127.0.0.1:4001" },
      {},
    );
    assert.equal(mapped.advertise, "http://127.0.0.1");
    assert.match(refusal({ listen: "0.0.0.0:4001", secret }), /^--advertise /);
  });

  it("requires a secret unless every URL is loopback", () => {
    const peers = "n1=http://127.0.0.1:4001,n2=http://10.0.0.2:4001";
    assert.match(refusal({ peers }), /^--secret .*10\.0\.0\.2/);
    assert.match(
      refusal({ listen: "192.168.0.1:4001" }),
      /^--secret .*192\.168\.0\.1:4001 is not loopback; or say --insecure$/,
    );
    assert.match(refusal({ peers: "dns:a:1", peersExpect: "3" }), /^--secret .*say --insecure$/);
    assert.match(
      refusal({ listen: "0.0.0.0:4001", advertise: "http://127.0.0.1:4001" }),
      /^--secret /,
    );
    assert.deepEqual(readNodeConfig({ peers, secret }, {}).secrets, [secret]);
    assert.equal(readNodeConfig({ peers, secretFile: "s" }, {}).secretFile, "s");
    for (const host of ["127.8.9.1", "localhost", "[::1]"]) {
      assert.deepEqual(readNodeConfig({ listen: `${host}:4001` }, {}).secrets, []);
    }
  });

  it("requires tokens where strangers get to it, unless it is told that they may", () => {
    const open = { listen: "192.168.0.1:4001", secret };
    assert.match(
      refusal(open),
      /^--auth on is required because http:\/\/192\.168\.0\.1.*--insecure$/,
    );
    assert.match(refusal({ advertise: "http://kv.example", secret }), /^--auth on is required/);
    assert.equal(readNodeConfig({ ...open, auth: "on" }, {}).auth, true);
    const told = (flags: Record<string, string>) => readNodeConfig(flags, {}).warnings;
    const insecure = { listen: "192.168.0.1:4001", insecure: "on" };
    assert.equal(told(insecure).length, 2);
    assert.match(told(insecure).join(), /no --secret.*--auth is off/);
    assert.match(told({ ...open, auth: "on" }).join(), /^tokens travel in clear/);
    assert.deepEqual(told({ ...open, auth: "on", tlsCert: "c", tlsKey: "k" }), []);
    assert.deepEqual(told({}), []);
    assert.match(told({ auth: "on", recoverAccess: "on" }).join(), /^whoever .* --recover-access$/);
  });

  it("serves whoever comes as root only where nobody comes from elsewhere", () => {
    const recovering = { recoverAccess: "on", auth: "on", secret };
    assert.equal(readNodeConfig(recovering, {}).recoverAccess, true);
    const elsewhere = { ...recovering, advertise: "https://kv.example.com" };
    assert.match(refusal(elsewhere), /^--recover-access .*https:\/\/kv\.example\.com/);
    const guarded = readNodeConfig({ ...elsewhere, insecure: "on" }, {});
    assert.match(guarded.warnings.join(), /kv\.example\.com is open .* as root/);
    const open = { ...recovering, listen: "192.168.0.1:4001", insecure: "on" };
    assert.match(refusal(open), /^--recover-access .*192\.168\.0\.1/);
  });

  it("serves https with a certificate, and wants what belongs together", () => {
    const tls = { tlsCert: "c.pem", tlsKey: "k.pem" };
    assert.equal(readNodeConfig(tls, {}).advertise, "https://127.0.0.1:4001");
    const peers = "n1=https://127.0.0.1:4001,n2=https://127.0.0.1:4002";
    assert.equal(readNodeConfig({ ...tls, peers }, {}).advertise, "https://127.0.0.1:4001");
    assert.match(refusal({ peers }), /^--advertise .*it serves http$/);
    assert.match(refusal({ tlsCert: "c.pem" }), /^--tls-key /);
    assert.match(refusal({ tlsKey: "k.pem" }), /^--tls-cert /);
    assert.match(refusal({ tlsClientCa: "c.pem" }), /^--tls-client-ca .*--tls-cert/);
    assert.match(refusal({ secret, secretFile: "s" }), /^--secret-file .*--secret /);
    assert.equal(readNodeConfig({ secret: `${secret},x${secret}` }, {}).secrets.length, 2);
  });

  it("takes a name that members are found by, and needs to know how many the first are", () => {
    const peers = "dns:holdfast.example.:4001";
    assert.match(refusal({ peers, secret }), /^--peers-expect .*dns:holdfast\.example:4001$/);
    assert.match(refusal({ peers, peersExpect: "3" }), /^--secret .*dns:holdfast\.example:4001/);
    const dnsServer = "10.0.0.53,[fd00::53]:5353";
    const config = readNodeConfig({ peers, peersExpect: "3", secret, dnsServer }, {});
    assert.deepEqual(config.discovery, {
      at: new DnsName("holdfast.example", 4001),
      expect: 3,
      servers: [{ address: "10.0.0.53", port: 53 }, { address: "fd00::53", port: 5353 }],
    });
    assert.deepEqual(config.peers, { n1: "http://127.0.0.1:4001" });
    assert.equal(config.join, null);
    const joining = readNodeConfig({ join: "dns:a", secret }, {}).discovery;
    assert.deepEqual(joining, { at: new DnsName("a", null), expect: null, servers: [] });
    assert.match(refusal({ join: "dns:a", peers, peersExpect: "3", secret }), /^--join .*--peers/);
    assert.match(
      refusal({ peers: "n1=http://127.0.0.1:4001", peersExpect: "3" }),
      /^--peers-expect .*it is 3, and --peers names 1$/,
    );
  });

  it("does not take an id for a path out of the data directory", () => {
    assert.match(refusal({ id: ".." }), /^--data /);
    assert.equal(readNodeConfig({ id: "..", data: "/tmp/x" }, {}).data, "/tmp/x");
  });

  it("lists every flag, its variable and its default in the help", () => {
    const help = nodeHelp();
    for (const name of Object.keys(nodeOptions)) {
      assert.ok(help.includes(`  ${flagOf(name)} `) && help.includes(environmentOf(name)), name);
    }
    assert.match(help, /default 500ms/);
  });
});
