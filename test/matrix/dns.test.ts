/** Clusters whose members know each other by a name only. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { join } from "node:path";
import { DnsServer } from "../adapters/dns-server.ts";
import { eventually, setups } from "./harness/cluster.ts";
import { HttpClient } from "./harness/http-client.ts";
import {
  freePort,
  nodeCommand,
  RunningProcess,
  type RuntimeName,
  temporaryDirectory,
} from "./harness/node-process.ts";

const secret = "0123456789abcdef0123456789abcdef";
const name = "holdfast.example";

interface Found {
  readonly peers: Readonly<Record<string, string>> | null;
}

/** Nodes on addresses of their own, all with the same port, as machines have them. */
class Machines implements AsyncDisposable {
  readonly http: HttpClient = new HttpClient();
  readonly running: Map<number, RunningProcess> = new Map<number, RunningProcess>();
  readonly #temporary = temporaryDirectory();
  readonly #dns: DnsServer;
  readonly port: number;

  private constructor(dns: DnsServer, port: number) {
    this.#dns = dns;
    this.port = port;
  }

  static async start(): Promise<Machines> {
    return new Machines(await DnsServer.start(), await freePort());
  }

  address(number: number): string {
    return `127.0.0.${number + 1}`;
  }

  url(number: number): string {
    return `http://${this.address(number)}:${this.port}`;
  }

  /** Lets the name lead to these. */
  publish(kind: "A" | "SRV", numbers: readonly number[]): void {
    const hosts = numbers.map((number) => [`n${number}.${name}`, { A: [this.address(number)] }]);
    this.#dns.records = kind === "A"
      ? { [name]: { A: numbers.map((number) => this.address(number)) } }
      : {
        ...Object.fromEntries(hosts),
        [`_holdfast._tcp.${name}`]: {
          SRV: numbers.map((number) => ({ target: `n${number}.${name}`, port: this.port })),
        },
      };
  }

  async launch(number: number, runtime: RuntimeName, flags: readonly string[]): Promise<void> {
    const own = ["--id", `n${number}`, "--listen", `${this.address(number)}:${this.port}`];
    const data = ["--data", join(this.#temporary.path, `n${number}`)];
    const process = new RunningProcess([...nodeCommand(runtime), ...own, ...data, ...flags], {
      env: { HOLDFAST_SECRET: secret, HOLDFAST_DNS_SERVER: this.#dns.address },
    });
    this.running.set(number, process);
    await process.firstLine();
  }

  async ready(number: number): Promise<void> {
    await eventually(() => `n${number} is ready\n${this.stderr()}`, async () => {
      const { status } = await this.http.request(`${this.url(number)}/readyz`);
      return status === 200 || undefined;
    });
  }

  /** Whom a node found, as its log says; undefined where it found nobody yet. */
  found(number: number): Found | undefined {
    const line = this.running.get(number)?.stderr.split("\n")
      .find((one) => one.includes("found members by name"));
    return line === undefined ? undefined : JSON.parse(line) as Found;
  }

  stderr(): string {
    return [...this.running].map(([number, { stderr }]) => `--- n${number}\n${stderr}`).join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.http.close();
    for (const process of this.running.values()) process.signal("SIGKILL");
    await Promise.all([...this.running.values()].map(({ ended }) => ended));
    this.#dns[Symbol.dispose]();
    this.#temporary[Symbol.dispose]();
  }
}

for (const { name: setup, runtimes } of setups) {
  describe(`a cluster found by name (${setup})`, { timeout: 120_000 }, () => {
    it("is formed from addresses once all are there, and joined from SRV records", async () => {
      await using machines = await Machines.start();
      const flags = ["--peers", `dns:${name}:${machines.port}`, "--peers-expect", "3"];
      const [first = "node", second = first, third = first] = runtimes;
      // The DNS gets to know them one by one; two would form a cluster of two if they were asked to.
      machines.publish("A", [1]);
      await machines.launch(1, first, flags);
      machines.publish("A", [1, 2]);
      await machines.launch(2, second, flags);
      await eventually("both know of each other, and wait for a third", async () => {
        const said = await Promise.all(
          [1, 2].map((number) => machines.http.request(`${machines.url(number)}/readyz`)),
        );
        for (const { status } of said) assert.equal(status, 503);
        return said.every((one) => one.text().includes("leads to 2: n1, n2")) || undefined;
      });
      assert.equal(machines.found(1), undefined);
      machines.publish("A", [1, 2, 3]);
      await machines.launch(3, third, flags);
      for (const number of [1, 2, 3]) await machines.ready(number);
      const peers = Object.fromEntries([1, 2, 3].map((one) => [`n${one}`, machines.url(one)]));
      assert.deepEqual(machines.found(1)?.peers, peers);
      const body = "by name";
      const put = await machines.http.request(`${machines.url(1)}/v1/kv/a`, {
        method: "PUT",
        body,
      });
      assert.equal(put.status, 201);

      machines.publish("SRV", [1, 2, 3, 4]);
      await machines.launch(4, second, ["--join", `dns:${name}`]);
      await eventually("n4 waits to be added", async () => {
        const { text } = await machines.http.request(`${machines.url(4)}/readyz`);
        return text().includes("holdfast member add n4") || undefined;
      });
      assert.equal(machines.found(4)?.peers, null);
      const added = await machines.http.request(`${machines.url(2)}/v1/members`, {
        method: "POST",
        body: JSON.stringify({ id: "n4", url: machines.url(4) }),
        headers: { "content-type": "application/json" },
      });
      assert.ok([201, 202].includes(added.status), added.text());
      await machines.ready(4);
      const read = await machines.http.request(`${machines.url(4)}/v1/kv/a`);
      assert.equal(read.text(), body);
    });
  });
}
