/** Ports in a row. */
import { once } from "node:events";
import { createServer } from "node:net";
import { freePort } from "./processes.ts";

/** A port that is followed by free ones, as far as one can know. */
export async function freePorts(count: number): Promise<number> {
  for (;;) {
    const first = await freePort();
    if (first + count > 65_536) continue;
    const taken = await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const server = createServer();
        const listening = once(server, "listening").then(() => false, () => true);
        server.once("error", () => {});
        server.listen(first + index, "127.0.0.1");
        const isTaken = await listening;
        await new Promise((resolve) => server.close(resolve));
        return isTaken;
      }),
    );
    if (!taken.includes(true)) return first;
  }
}
