/** Files for deployment name flags, variables, routes and statuses: these are there, or the test says which is not. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import * as v from "valibot";
import { parseAllDocuments } from "yaml";
import { exitStatus } from "../../runtimes/boot.ts";
import { parseArguments } from "../../src/cli/arguments.ts";
import { commandOf } from "../../src/cli/runtime-command.ts";
import { commands } from "../../src/cli/run.ts";
import { readNodeConfig, stopLimits } from "../../src/config.ts";
import { environmentOf, nodeOptions } from "../../src/config/options.ts";
import { fixture } from "./fixture.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (path: string): string => readFileSync(`${root}${path}`, "utf8");
const directory = "runtimes/deploy";
/** What Kubernetes keeps, by key. */
const secrets: Readonly<Record<string, string>> = {
  secret: "0123456789abcdef0123456789abcdef",
  "root-token": `hf_${"a".repeat(16)}_${"b".repeat(43)}`,
};
const secret = secrets["secret"] ?? "";
const variables = new Set(Object.keys(nodeOptions).map(environmentOf));

/** Whether a path is one that a probe may ask: not that it is healthy, but that it is there. */
async function isRoute(path: string): Promise<boolean> {
  const { status } = await fixture().app.request(path);
  return status === 200 || status === 503;
}

/** Lines without comments, those that end in a backslash joined. */
function instructions(text: string): readonly string[] {
  return text.replaceAll(/\\\n/g, " ").split("\n").map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
}

describe("the systemd unit", () => {
  const settings = instructions(read(`${directory}/holdfast.service`))
    .filter((line) => line.includes("="))
    .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)] as const);
  const setting = (name: string): string => settings.find(([one]) => one === name)?.[1] ?? "";

  it("runs command lines that are there, with the file that its head tells to write", () => {
    const [program, node, ...flags] = setting("ExecStart").split(" ");
    assert.deepEqual([program, node], ["holdfast", "node"]);
    const given = parseArguments(flags, { flags: nodeOptions, operands: [] }).flags;
    assert.deepEqual(given, { config: "/etc/holdfast/holdfast.yaml" });
    const told = [...read(`${directory}/holdfast.service`).matchAll(/# +holdfast (config) (.*)/g)];
    const checked = told.map(([, name = "", rest = ""]) => {
      const syntax = commands[name]?.syntax ?? { flags: {}, operands: [] };
      return parseArguments(rest.split(" > ")[0]?.split(" ") ?? [], syntax).operands;
    });
    assert.deepEqual(checked, [["example"], ["check", given["config"]]]);
    assert.equal(told[0]?.[2], `example > ${given["config"]}`);
    // What it ends with is no reason for systemd to give up, whatever RestartPreventExitStatus says.
    assert.equal(setting("ExecStartPre"), "");
  });

  it("sets variables that are options', and data where it may write", () => {
    const environment = settings.filter(([name]) => name === "Environment").map(([, one]) => one);
    for (const one of environment) assert.ok(variables.has(one.split("=")[0] ?? ""), one);
    assert.ok(environment.includes(`HOLDFAST_DATA=/var/lib/${setting("StateDirectory")}`));
  });

  it("starts it again but for what only somebody can mend, and lets it stop in its time", () => {
    const { badConfiguration, badData } = exitStatus;
    assert.equal(setting("RestartPreventExitStatus"), `${badConfiguration} ${badData}`);
    assert.equal(setting("Restart"), "on-failure");
    assert.ok(parseInt(setting("TimeoutStopSec"), 10) * 1000 > stopLimits.stopTimeoutMs);
  });
});

describe("the Containerfiles", () => {
  const versions = JSON.parse(read("package.json")).devDependencies as Record<string, string>;
  const files = readdirSync(`${root}${directory}`).filter((name) =>
    name.startsWith("Containerfile")
  );

  it("are there for each runtime", () => {
    assert.deepEqual(files.sort(), ["bun", "deno", "node"].map((name) => `Containerfile.${name}`));
  });

  for (const runtime of ["bun", "deno", "node"] as const) {
    const path = `${directory}/Containerfile.${runtime}`;
    const lines = instructions(read(path));
    const all = (name: string): readonly string[] =>
      lines.filter((line) => line.startsWith(`${name} `)).map((line) =>
        line.slice(name.length + 1)
      );

    it(`run the version of ${runtime} that is tested, as nobody in particular`, () => {
      const base = all("FROM").at(-1) ?? "";
      const version = versions[runtime] ?? "";
      const tested = runtime === "node" ? version.split(".")[0] : version;
      assert.match(base, new RegExp(`[:-]${tested}(-|$)`));
      assert.equal(all("USER").at(-1), "1000:1000");
      assert.ok(read(path).includes(`-f ${path} `), "its head says how it is built");
    });

    it(`run what commandOf runs, from files that are there (${runtime})`, () => {
      const [entry = "[]"] = all("ENTRYPOINT");
      const [binary, ...args] = v.parse(v.array(v.string()), JSON.parse(entry));
      assert.equal(binary, runtime);
      const [, ...expected] = commandOf(runtime);
      assert.deepEqual(args.map((arg) => arg.replace("/opt/holdfast/", root)), expected);
      for (const copied of all("COPY").filter((line) => !line.startsWith("--from"))) {
        for (const source of copied.split(" ").slice(0, -1)) {
          assert.ok(existsSync(`${root}${source}`), source);
        }
      }
    });

    it(`set options' variables, and ask for a health that is there (${runtime})`, async () => {
      const environment = Object.fromEntries(
        all("ENV").flatMap((line) => line.split(" ")).map((one) => one.split("=", 2)),
      );
      for (const name of Object.keys(environment)) {
        assert.ok(variables.has(name) || name.startsWith("DENO_"), name);
      }
      const advertise = "http://10.0.0.1:4001";
      const { listen, data } = readNodeConfig({ advertise, secret, auth: "on" }, environment);
      assert.deepEqual(all("EXPOSE"), [String(listen.port)]);
      assert.deepEqual(all("VOLUME"), [data]);
      const [health = ""] = all("HEALTHCHECK");
      const [, url = ""] = /fetch\('([^']+)'\)/.exec(health) ?? [];
      assert.equal(new URL(url).port, String(listen.port));
      assert.ok(await isRoute(new URL(url).pathname), url);
    });
  }
});

const labels = v.record(v.string(), v.string());
const probe = v.object({ httpGet: v.object({ path: v.string(), port: v.string() }) });
const variable = v.object({
  name: v.string(),
  value: v.optional(v.string()),
  valueFrom: v.optional(v.object({
    fieldRef: v.optional(v.object({ fieldPath: v.string() })),
    secretKeyRef: v.optional(v.object({ name: v.string(), key: v.string() })),
  })),
});
const service = v.object({
  metadata: v.object({ name: v.string() }),
  spec: v.object({
    clusterIP: v.optional(v.string()),
    publishNotReadyAddresses: v.optional(v.boolean()),
    selector: labels,
    ports: v.array(v.object({ port: v.number(), targetPort: v.string() })),
  }),
});
const container = v.object({
  env: v.array(variable),
  ports: v.array(v.object({ name: v.string(), containerPort: v.number() })),
  startupProbe: probe,
  readinessProbe: probe,
  livenessProbe: probe,
  volumeMounts: v.array(v.object({ name: v.string(), mountPath: v.string() })),
});
const statefulSet = v.object({
  spec: v.object({
    serviceName: v.string(),
    replicas: v.number(),
    podManagementPolicy: v.literal("Parallel"),
    selector: v.object({ matchLabels: labels }),
    template: v.object({
      metadata: v.object({ labels }),
      spec: v.object({
        terminationGracePeriodSeconds: v.number(),
        enableServiceLinks: v.literal(false),
        containers: v.tuple([container]),
      }),
    }),
    volumeClaimTemplates: v.array(v.object({ metadata: v.object({ name: v.string() }) })),
  }),
});

describe("the Kubernetes manifests", () => {
  const documents = parseAllDocuments(read(`${directory}/kubernetes.yaml`));
  const parsed = documents.map((document) => document.toJS() as { readonly kind: string });
  const kind = (name: string): readonly unknown[] => parsed.filter((one) => one.kind === name);
  const { spec } = v.parse(statefulSet, kind("StatefulSet")[0]);
  const services = kind("Service").map((one) => v.parse(service, one));
  const headless = services.find(({ metadata }) => metadata.name === spec.serviceName);
  const [main] = spec.template.spec.containers;

  /** A pod's environment, as Kubernetes makes it. */
  const environmentOfPod = (ordinal: number): Record<string, string> => {
    const fields: Record<string, string> = {
      "metadata.name": `holdfast-${ordinal}`,
      "metadata.namespace": "default",
    };
    const environment: Record<string, string> = {};
    for (const { name, value, valueFrom } of main.env) {
      const { fieldRef, secretKeyRef } = valueFrom ?? {};
      const from = fields[fieldRef?.fieldPath ?? ""] ?? secrets[secretKeyRef?.key ?? ""] ?? "";
      environment[name] = value?.replaceAll(/\$\((\w+)\)/g, (_, other: string) => {
        // Only what stands before it is known.
        return environment[other] ?? assert.fail(`${name} names ${other}, which stands behind it`);
      }) ?? from;
    }
    return environment;
  };

  it("give each pod a configuration that it starts with, and the first three the same members", () => {
    const names = main.env.map(({ name }) => name).filter((name) => name.startsWith("HOLDFAST_"));
    for (const name of names) assert.ok(variables.has(name), name);
    const url = (ordinal: number): string =>
      `http://holdfast-${ordinal}.${spec.serviceName}.default.svc:4001`;
    const first = Array.from({ length: spec.replicas }, (_, ordinal) => ordinal);
    const members = Object.fromEntries(first.map((one) => [`holdfast-${one}`, url(one)]));
    for (const ordinal of first) {
      const { id, advertise, peers, join } = readNodeConfig({}, environmentOfPod(ordinal));
      assert.deepEqual([id, advertise, join], [`holdfast-${ordinal}`, url(ordinal), null]);
      assert.deepEqual(peers, members);
      const key = main.env.find(({ name }) => name === "HOLDFAST_SECRET")?.valueFrom?.secretKeyRef;
      assert.deepEqual(key, { name: "holdfast", key: "secret" });
    }
    const late = readNodeConfig({}, environmentOfPod(spec.replicas));
    assert.deepEqual(late.join, members);
    assert.equal(late.advertise, url(spec.replicas));
  });

  it("probe routes that are there, at the port that a node listens on", async () => {
    const { listen, data } = readNodeConfig({}, environmentOfPod(0));
    assert.deepEqual(main.ports, [{ name: "holdfast", containerPort: listen.port }]);
    for (const { httpGet } of [main.startupProbe, main.readinessProbe, main.livenessProbe]) {
      assert.equal(httpGet.port, "holdfast");
      assert.ok(await isRoute(httpGet.path), httpGet.path);
    }
    const [mount] = main.volumeMounts;
    assert.ok(data.startsWith(`${mount?.mountPath}/`));
    assert.deepEqual(spec.volumeClaimTemplates.map(({ metadata }) => metadata.name), [mount?.name]);
    assert.ok(spec.template.spec.terminationGracePeriodSeconds * 1000 > stopLimits.stopTimeoutMs);
  });

  it("name pods by a service that knows them before they are ready", () => {
    assert.equal(headless?.spec.clusterIP, "None");
    assert.equal(headless.spec.publishNotReadyAddresses, true);
    for (const one of services) {
      assert.deepEqual(one.spec.selector, spec.template.metadata.labels);
      assert.deepEqual(one.spec.ports.map(({ targetPort }) => targetPort), ["holdfast"]);
    }
    assert.deepEqual(spec.selector.matchLabels, spec.template.metadata.labels);
  });
});
