/** Parts of a snapshot that came with format 4: who may do what, and a restore that is under way or was. */
import { Access } from "./access/access.ts";
import { roleOf, tokenOf } from "./access/access-codec.ts";
import { accessVersion, type Role, type Token } from "./access/grant.ts";
import { checkBytes, checkWhole, malformed } from "./command-parts.ts";
import { isSession, restorePieceBytesMax } from "./command.ts";
import { OrderedMap } from "./ordered-map.ts";
import { restoreBytesMax, Staging } from "./staging.ts";
import { timeText } from "./time.ts";

/** Where a part stands among others: by kind, and by name among those of its kind. */
export interface PartPlace {
  readonly kind: number;
  readonly name: string;
}

export class LaterParts {
  readonly #roles = new OrderedMap<Role>();
  readonly #tokens = new OrderedMap<Token>();
  #restored: string | null = null;
  #staging: Staging | null = null;

  get restored(): string | null {
    return this.#restored;
  }

  get staging(): Staging | null {
    return this.#staging;
  }

  access(): Access {
    return new Access(this.#roles, this.#tokens);
  }

  /** Takes a part in. Null where it is of no kind that is known. @param version the cluster's. @throws {MalformedBytes} */
  take(type: unknown, items: readonly unknown[], version: number): PartPlace | null {
    const place = this.#take(`${String(type)} ${items.length}`, items);
    if (place !== null && version < accessVersion) throw malformed("a part of a later version");
    return place;
  }

  #take(kind: string, items: readonly unknown[]): PartPlace | null {
    const [first, second] = items;
    switch (kind) {
      case "role 2": {
        const role = roleOf(items);
        this.#roles.set(role.name, role);
        return { kind: 3, name: role.name };
      }
      case "token 4": {
        const token = tokenOf(items);
        this.#tokens.set(token.id, token);
        return { kind: 4, name: token.id };
      }
      case "restored 1":
        this.#restored = idOf(first);
        return { kind: 5, name: "" };
      case "staging 2":
        this.#staging = new Staging(idOf(first), checkWhole(second, 0));
        return { kind: 6, name: "" };
      case "piece 2":
        return { kind: 7, name: timeText(this.#onPiece(first, second)) };
      default:
        return null;
    }
  }

  #onPiece(number: unknown, bytes: unknown): number {
    const piece = checkBytes(bytes, "piece", restorePieceBytesMax);
    const staging = this.#staging;
    if (staging === null || piece.length === 0) throw malformed("a piece of nothing");
    if (staging.bytes + piece.length > restoreBytesMax) throw malformed("too many pieces");
    const count = staging.pieces.length;
    staging.add(piece);
    return checkWhole(number, count, count);
  }
}

function idOf(value: unknown): string {
  if (typeof value === "string" && isSession(value)) return value;
  throw malformed("an id that is not one");
}
