/** A DNS server on loopback for tests: what a name has can be changed at any time (RFC 1035, RFC 2782). */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

const types: Readonly<Record<string, number>> = { A: 1, AAAA: 28, SRV: 33 };
const SERVER_FAILURE = 2;
const NAME_ERROR = 3;
const HEADER_BYTES = 12;
/** The question's name, by its offset. */
const SAME_NAME = [0xc0, HEADER_BYTES];
const SECONDS_TO_LIVE = [0, 0, 0, 1];

/** What a name has. */
export interface DnsRecords {
  /** IPv4 addresses. */
  readonly A?: readonly string[];
  /** IPv6 addresses of eight groups; null: that question can't be answered. */
  readonly AAAA?: readonly string[] | null;
  readonly SRV?: readonly { readonly target: string; readonly port: number }[];
}

export class DnsServer implements Disposable {
  /** What it answers with; a name that isn't here doesn't exist. */
  records: Readonly<Record<string, DnsRecords>> = {};
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("message", (query, { port, address }) => {
      const reply = this.#answer(query);
      if (reply !== null) socket.send(reply, port, address);
    });
  }

  static async start(port = 0): Promise<DnsServer> {
    const socket = createSocket("udp4");
    socket.bind(port, "127.0.0.1");
    await once(socket, "listening");
    return new DnsServer(socket);
  }

  /** As `--dns-server` takes it. */
  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  get port(): number {
    return this.#socket.address().port;
  }

  #answer(query: Uint8Array): Uint8Array | null {
    if (query.length < HEADER_BYTES + 5) return null;
    const labels: string[] = [];
    let at = HEADER_BYTES;
    for (let size = query[at] ?? 0; size > 0 && at < query.length; size = query[at] ?? 0) {
      labels.push(new TextDecoder().decode(query.subarray(at + 1, at + 1 + size)));
      at += 1 + size;
    }
    const type = ((query[at + 1] ?? 0) << 8) | (query[at + 2] ?? 0);
    const question = query.subarray(HEADER_BYTES, at + 5);
    const records = this.records[labels.join(".").toLowerCase()];
    const data = records === undefined ? [] : dataOf(records, type);
    const isBroken = type === types["AAAA"] && records?.AAAA === null;
    const code = records === undefined ? NAME_ERROR : isBroken ? SERVER_FAILURE : 0;
    const head = [
      query[0] ?? 0,
      query[1] ?? 0,
      0x85,
      0x80 | code,
      ...[0, 1, 0, data.length, 0, 0, 0, 0],
    ];
    const answers = data.flatMap((one) => [
      ...SAME_NAME,
      ...[0, type, 0, 1],
      ...SECONDS_TO_LIVE,
      ...word(one.length),
      ...one,
    ]);
    return Uint8Array.from([...head, ...question, ...answers]);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

function dataOf({ A = [], AAAA, SRV = [] }: DnsRecords, type: number): readonly number[][] {
  if (type === types["A"]) return A.map((address) => address.split(".").map(Number));
  if (type === types["AAAA"]) {
    return (AAAA ?? []).map((address) =>
      address.split(":").flatMap((group) => word(parseInt(group, 16)))
    );
  }
  if (type !== types["SRV"]) return [];
  return SRV.map(({ target, port }) => {
    const name = target.split(".").flatMap((label) => [
      label.length,
      ...new TextEncoder().encode(label),
    ]);
    return [...word(1), ...word(1), ...word(port), ...name, 0];
  });
}

function word(value: number): number[] {
  return [value >> 8, value & 255];
}
