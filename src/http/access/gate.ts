/**
 * Who asks, and whether they may. A node asks for tokens where it was told to (`--auth on`), and where the cluster has a
 * root token, whatever it was told: access is a fact of the cluster, and a node that was started otherwise is no hole.
 *
 * What a node knows of tokens may be old. So it lets in on what it knows, and everything is checked again: a command
 * where it is applied, a read on the state that is read. It refuses only what the newest state refuses.
 */
import type { Access } from "../../kv/access/access.ts";
import type { TokenId } from "../../kv/access/grant.ts";
import { admit } from "../../kv/access/needs.ts";
import type { Need } from "../../kv/access/principal.ts";
import { tokenIdIn } from "../../config/token-text.ts";
import type { Credentials } from "../../ports.ts";
import { forbidden, Refusal, unauthenticated, unknownToken } from "../problem.ts";
import type { Confirmations } from "./confirmations.ts";
import { asksFirst, neededAtDoor, type Right } from "./rights.ts";

/** Whoever asks where nobody is asked for a token, this process itself, or a token's bearer. */
export type Caller =
  | { readonly type: "anybody" }
  | { readonly type: "inside" }
  | { readonly type: "bearer"; readonly token: TokenId };

export const anybody: Caller = { type: "anybody" };
const inside: Caller = { type: "inside" };

/** Handed in beside a request by whoever embeds a node, for what the program itself asks. No server hands it in. */
export const fromInside: unique symbol = Symbol("a request of this process");

export interface GateParts {
  /** Of the machine; another one after each restore. */
  readonly access: () => Access;
  /** Whether a token is needed even where the cluster has none yet. */
  readonly auth: boolean;
  /** Whether who comes without a token is served as this process is. */
  readonly recovers: boolean;
  /** Null where nothing here can read a token: all of them are refused then. */
  readonly credentials: Credentials | null;
  readonly confirmations: Confirmations;
  /** @throws {Refusal} 503 where not every member knows tokens yet. */
  readonly checkVersion: () => void;
}

export class Gate {
  readonly #parts: GateParts;

  constructor(parts: GateParts) {
    this.#parts = parts;
  }

  /** Whether whoever comes needs a token. */
  get isClosed(): boolean {
    return this.#parts.auth || this.#parts.access().isRequired;
  }

  /**
   * Who asks. Resolves where they have a right to what the route is for. Where it has to ask, it waits until `deadline`.
   * @throws {Refusal} 401, 403, 429, or 503 where there is no root token yet. {NotApplied}
   */
  async admit(
    { headers }: Pick<Request, "headers">,
    right: Right,
    { origin, deadline }: { readonly origin: symbol | undefined; readonly deadline: number },
  ): Promise<Caller> {
    if (right === "open") return anybody;
    if (origin === fromInside) return inside;
    if (!this.isClosed) {
      if (!asksFirst(right)) return anybody;
      await this.#parts.confirmations.confirm(deadline, "stranger");
      if (!this.isClosed) return anybody;
    }
    if (this.#parts.recovers && !headers.has("authorization")) return inside;
    const caller = await this.#bearerOf(headers.get("authorization"), deadline);
    const needs = neededAtDoor(right);
    await this.may(caller, () => needs, deadline);
    return caller;
  }

  /**
   * The same for who was let in before this node had heard that the cluster asks for tokens.
   * @throws {Refusal} 401, 403, 429. {NotApplied}
   */
  async admitAgain(
    request: Pick<Request, "headers">,
    right: Right,
    from: { readonly origin: symbol | undefined; readonly deadline: number },
  ): Promise<Caller> {
    if (!this.isClosed) await this.#parts.confirmations.confirm(from.deadline, "stranger");
    return await this.admit(request, right, from);
  }

  /**
   * Resolves where the caller may do what needs this, as far as this node knows; before it says no, it asks.
   * @throws {Refusal} 401, 403, 429. {NotApplied}
   */
  async may(caller: Caller, needs: () => readonly Need[], deadline: number): Promise<void> {
    if (this.refusal(caller, needs()) === null) return;
    if (caller.type === "bearer") await this.#parts.confirmations.confirm(deadline, "bearer");
    this.check(caller, needs());
  }

  /** Resolves when this node knows the newest of tokens and roles. @throws {Refusal} 429. {NotApplied} */
  async learn(caller: Caller, deadline: number): Promise<void> {
    if (caller.type === "inside") return;
    const who = caller.type === "bearer" ? "bearer" : "stranger";
    await this.#parts.confirmations.confirm(deadline, who);
  }

  /** On the state as it is here and now. @throws {Refusal} 401, 403. */
  check(caller: Caller, needs: readonly Need[]): void {
    const refusal = this.refusal(caller, needs);
    if (refusal !== null) throw refusal;
  }

  /** Why the caller may not do what needs this, or null. */
  refusal(caller: Caller, needs: readonly Need[]): Refusal | null {
    if (caller.type === "inside") return null;
    if (caller.type === "anybody") {
      return this.isClosed ? unauthenticated("a token is needed") : null;
    }
    const { type } = admit(this.#parts.access(), caller.token, needs);
    switch (type) {
      case "admitted":
        return null;
      case "unauthenticated":
        return unknownToken();
      case "forbidden":
        return forbidden();
    }
  }

  async #bearerOf(header: string | null, deadline: number): Promise<Caller> {
    const { credentials, confirmations, access } = this.#parts;
    if (header === null) throw unauthenticated("a token is needed");
    const [, text = ""] = /^bearer +(\S+) *$/i.exec(header) ?? [];
    const token = tokenIdIn(text);
    if (token === null || credentials === null) throw unknownToken();
    if (access().principal(token) === undefined) {
      await confirmations.confirm(deadline, "stranger");
      if (!access().isRequired) {
        this.#parts.checkVersion();
        throw noRootYet();
      }
    }
    const principal = access().principal(token);
    if (principal === undefined) throw unknownToken();
    if (!credentials.isSame(credentials.hash(text), principal.token.hash)) throw unknownToken();
    return { type: "bearer", token };
  }
}

function noRootYet(): Refusal {
  return new Refusal("not_ready", "this cluster has no root token yet");
}
