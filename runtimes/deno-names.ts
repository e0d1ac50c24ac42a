/**
 * Names as Deno looks them up: `node:dns` wants the permission `sys` there for servers that are named. Deno doesn't tell
 * a server that fails from a name without such records: then the addresses of the other kind count alone.
 */
import { createNodeNames, either, type NamesOf } from "../src/adapters/dns-lookup.ts";

/** The part of Deno's namespace that is used. */
declare const Deno: {
  resolveDns(
    name: string,
    type: "A" | "AAAA",
    options: DnsOptions,
  ): Promise<readonly string[]>;
  resolveDns(
    name: string,
    type: "SRV",
    options: DnsOptions,
  ): Promise<readonly { readonly target: string; readonly port: number }[]>;
};

interface DnsOptions {
  readonly nameServer?: { readonly ipAddr: string; readonly port: number };
}

/** See {@link NamesOf}. */
export const createDenoNames: NamesOf = (servers) => {
  const system = createNodeNames([]);
  const inTurn = async <Answer>(ask: (options: DnsOptions) => Promise<Answer>): Promise<Answer> => {
    const [first, ...others] = servers.map(({ address: ipAddr, port }) => ({
      nameServer: { ipAddr, port },
    }));
    return await others.reduce(
      (answer, options) => answer.catch(() => ask(options)),
      ask(first ?? {}),
    );
  };
  return {
    services: async (name) => {
      const records = await inTurn((options) => Deno.resolveDns(name, "SRV", options));
      return records.map(({ target: host, port }) => ({ host, port }));
    },
    addresses: async (name) =>
      servers.length === 0 ? await system.addresses(name) : await either(
        inTurn((options) => Deno.resolveDns(name, "A", options)),
        inTurn((options) => Deno.resolveDns(name, "AAAA", options)),
      ),
  };
};
