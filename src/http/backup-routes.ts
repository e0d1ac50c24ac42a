/** `/v1/backup`: the whole state as a stream. The format is `backup/format.ts`. */
import { backupPieces, backupSuffix, backupType } from "../backup/format.ts";
import { backupStream } from "../backup/stream.ts";
import { anywhere } from "../kv/access/needs.ts";
import { type Exchange, marksOf } from "./exchange.ts";
import { Refusal } from "./problem.ts";
import { confirmNames, confirmRead } from "./reading.ts";
import { Query } from "./target.ts";

/**
 * `GET`: the state as it is once a read was confirmed, or with `consistency=stale` as this node has it. Whatever is
 * written meanwhile is not in it. It ends with a checksum of the whole: one that broke off is no backup.
 */
export async function getBackup(exchange: Exchange): Promise<Response> {
  const { host, request, target } = exchange;
  const { limits, machine, replica, version: software } = host;
  const query = new Query(target, confirmNames, limits.queryBytesMax);
  if (host.backups >= limits.backupsMax) {
    throw new Refusal("overloaded", `${limits.backupsMax} backups are being taken of this node`);
  }
  host.backups++;
  let isOpen = false;
  try {
    const headers = await confirmRead(exchange, query, () => [anywhere("backup")]);
    // Nothing is awaited from here on: what the headers say is what the backup holds.
    const { clusterId } = replica.status();
    const { revision } = machine.store;
    const name = `holdfast-${clusterId.replaceAll(/[^A-Za-z0-9]/g, "_")}-${revision}`;
    const shown = {
      ...marksOf(host, revision),
      "content-type": backupType,
      "content-disposition": `attachment; filename="${name}${backupSuffix}"`,
      "cache-control": "no-store",
      ...headers,
    };
    if (request.method === "HEAD") return new Response(null, { headers: shown });
    const header = { clusterId, node: replica.id, revision, takenAt: Date.now(), software };
    const pieces = backupPieces(header, machine.snapshot().chunks());
    const onEnd = (): void => {
      host.backups--;
    };
    isOpen = true;
    const stream = backupStream({ pieces, idleMs: limits.backupIdleMs, onEnd });
    return new Response(stream, { headers: shown });
  } finally {
    if (!isOpen) host.backups--;
  }
}
