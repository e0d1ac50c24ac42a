/** Members that are found by a name: `dns:NAME:PORT`, and the servers that are asked for it. */
import * as v from "valibot";

/** The port that DNS servers listen on (RFC 1035, section 4.2). */
const DNS_PORT = 53;
/** Servers that may be named. */
const SERVERS_MAX = 8;

/** A name in the DNS that leads to the members of a cluster. */
export class DnsName {
  /** Without `dns:`, and without a dot at its end. */
  readonly name: string;
  /** Where the members listen whose addresses the name has; null where only its SRV records say so. */
  readonly port: number | null;

  constructor(name: string, port: number | null) {
    this.name = name;
    this.port = port;
  }

  /** As an option has it. */
  get text(): string {
    return `dns:${this.name}${this.port === null ? "" : `:${this.port}`}`;
  }
}

/** `dns:holdfast.example:4001`, or without a port. */
export const dnsNameSchema: v.GenericSchema<string, DnsName> = v.pipe(
  v.string(),
  v.regex(/^dns:(?=.{1,254}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?(:\d{1,5})?$/),
  v.transform((text) => {
    const [, name = "", , port] = /^dns:(.*?)\.?(:(\d+))?$/.exec(text) ?? [];
    return new DnsName(name, port === undefined ? null : Number(port));
  }),
  v.check(({ port }) => port === null || (port >= 1 && port <= 65_535)),
);

/** A server that answers questions about names. */
export interface DnsServer {
  /** IPv4, or IPv6 without brackets. */
  readonly address: string;
  readonly port: number;
}

/** `10.0.0.53`, `10.0.0.53:5353`, `[fd00::53]`, `[fd00::53]:5353`, with commas between. */
export const dnsServersSchema: v.GenericSchema<string, readonly DnsServer[]> = v.pipe(
  v.string(),
  v.transform((text) => text.split(",")),
  v.maxLength(SERVERS_MAX),
  v.array(v.pipe(
    v.string(),
    v.regex(/^(\d+\.\d+\.\d+\.\d+|\[[0-9A-Fa-f:.]{2,45}\])(:\d{1,5})?$/),
    v.check((text) => URL.canParse(`http://${text}`)),
    v.transform((text): DnsServer => {
      const { hostname } = new URL(`http://${text}`);
      const port = /:(\d+)$/.exec(text.replace(/^\[.*?\]/, ""))?.[1];
      return {
        address: hostname.replace(/^\[|\]$/g, ""),
        port: port === undefined ? DNS_PORT : Number(port),
      };
    }),
    v.check(({ port }) => port >= 1 && port <= 65_535),
  )),
);
