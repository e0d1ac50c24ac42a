/** What the leader says of itself and of the others: only it knows how far each member is. */
import { ClientError, connect, type ConnectOptions, type StatusAnswer } from "../client/mod.ts";

/**
 * The status of the node that leads, or of the one that knows best who does where the leader's own URL doesn't answer
 * from here; null where no endpoint answers.
 */
export async function leaderStatus(options: ConnectOptions): Promise<StatusAnswer | null> {
  const { endpoints } = options;
  const client = connect(options);
  const ask = async (url: string): Promise<StatusAnswer | null> => {
    try {
      return await client.status(url);
    } catch (error) {
      if (error instanceof ClientError) return null;
      throw error;
    }
  };
  const answers = (await Promise.all(endpoints.map(ask))).filter((answer) => answer !== null);
  const best = answers.toSorted((a, b) => rankOf(b) - rankOf(a))[0];
  if (best === undefined || best.role === "leader" || best.leader === null) return best ?? null;
  const url = best.members.find(({ id }) => id === best.leader)?.url;
  const own = url === undefined ? null : await ask(url);
  return own?.role === "leader" ? own : best;
}

/** A later term before an earlier, in one term who leads before who knows that, and that before who doesn't. */
function rankOf({ term, role, leader }: StatusAnswer): number {
  return 3 * term + (role === "leader" ? 2 : leader === null ? 0 : 1);
}
