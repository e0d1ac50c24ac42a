/**
 * The few bytes of gRPC that are spoken to etcd, made by hand: two requests and two answers of `etcdserverpb.KV`.
 *
 *     frame  := 0 (not compressed) | length (u32, big-endian) | message
 *     message := field…     field := (number << 3 | wire type) | value
 *     wire type 0: a varint     wire type 2: length (varint) | bytes
 *
 *     PutRequest     key = 1, value = 2           (bytes)
 *     RangeRequest   key = 1                      (one key; linearizable is the default)
 *     PutResponse    header = 1
 *     RangeResponse  header = 1, kvs = 2 (KeyValue: key = 1, value = 5)
 *     ResponseHeader revision = 3
 */

/** Where the methods are posted to. */
export const etcdPaths = {
  put: "/etcdserverpb.KV/Put",
  range: "/etcdserverpb.KV/Range",
} as const;

/** A gRPC frame with a put. */
export function putFrame(key: string, value: string): Uint8Array<ArrayBuffer> {
  return frameOf([...bytesField(1, key), ...bytesField(2, value)]);
}

/** A gRPC frame with a linearizable read of one key. */
export function rangeFrame(key: string): Uint8Array<ArrayBuffer> {
  return frameOf(bytesField(1, key));
}

/** The store's revision, which either answer carries, and the value that a range found. */
export interface EtcdAnswer {
  readonly revision: number;
  readonly value: string | null;
}

/** Reads one framed PutResponse or RangeResponse. */
export function readAnswer(frame: Uint8Array): EtcdAnswer {
  const length = frame.length < 5 ? NaN : Buffer.from(frame).readUInt32BE(1);
  if (frame[0] !== 0 || length !== frame.length - 5) throw new Error("not one gRPC frame");
  const answer = fieldsOf(frame.subarray(5));
  const header = fieldsOf(bytesOf(answer.get(1)));
  const pair = answer.get(2);
  const value = pair === undefined ? null : fieldsOf(bytesOf(pair)).get(5);
  const revision = header.get(3);
  return {
    revision: typeof revision === "number" ? revision : NaN,
    value: value === null ? null : Buffer.from(bytesOf(value)).toString(),
  };
}

function frameOf(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(parts.reduce((sum, part) => sum + part.length, 0), 1);
  return new Uint8Array(Buffer.concat([head, ...parts]));
}

function bytesField(number: number, text: string): readonly Uint8Array[] {
  const bytes = Buffer.from(text);
  return [Uint8Array.from([number << 3 | 2, ...varint(bytes.length)]), bytes];
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value;; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push(rest % 128 + 128);
  }
}

/** Fields by number; of one that comes twice, the last. */
function fieldsOf(message: Uint8Array): Map<number, number | Uint8Array> {
  const fields = new Map<number, number | Uint8Array>();
  let at = 0;
  const read = (): number => {
    let value = 0;
    for (let scale = 1;; scale *= 128) {
      const byte = message[at++];
      if (byte === undefined) throw new Error("a protobuf message broke off");
      value += byte % 128 * scale;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = read();
    const value = read();
    switch (tag & 7) {
      case 0:
        fields.set(tag >> 3, value);
        break;
      case 2:
        if (at + value > message.length) throw new Error("a protobuf field broke off");
        fields.set(tag >> 3, message.subarray(at, at += value));
        break;
      default:
        throw new Error(`a protobuf field of wire type ${tag & 7}`);
    }
  }
  return fields;
}

function bytesOf(field: number | Uint8Array | undefined): Uint8Array {
  return field instanceof Uint8Array ? field : new Uint8Array(0);
}
