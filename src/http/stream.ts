/** A body whose length nobody has said. */

export type Reader = ReadableStreamDefaultReader<Uint8Array>;

/** All of it, unless that is more than `bytesMax`: then the rest is left in the reader. */
export async function readStream(
  reader: Reader,
  bytesMax: number,
): Promise<Uint8Array<ArrayBuffer> | "too_large"> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    length += read.value.length;
    if (length > bytesMax) return "too_large";
    pieces.push(read.value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
