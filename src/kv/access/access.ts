/** The roles and tokens of a cluster. Where one of the tokens is root's, whoever comes needs one. */
import { OrderedMap } from "../ordered-map.ts";
import {
  accessBytesMax,
  type AccessEdit,
  type AccessRefusal,
  type Grant,
  type Role,
  roleBytes,
  rolesMax,
  rootRole,
  type Token,
  tokenBytes,
  type TokenId,
  tokensMax,
} from "./grant.ts";
import { Principal } from "./principal.ts";

/** Nobody changes one: another takes its place. */
export interface FrozenAccess {
  readonly roles: OrderedMap<Role>;
  readonly tokens: OrderedMap<Token>;
}

const all = { start: "", end: null };

export class Access {
  /** By name. */
  readonly #roles: OrderedMap<Role>;
  /** By id. */
  readonly #tokens: OrderedMap<Token>;
  /** Those that were asked for since the last change. */
  readonly #principals = new Map<TokenId, Principal>();
  /** Tokens that are root's. */
  #roots = 0;
  #bytes = 0;
  #changes = 0;

  /** Empty, or of the parts of a snapshot. */
  constructor(
    roles: OrderedMap<Role> = new OrderedMap(),
    tokens: OrderedMap<Token> = new OrderedMap(),
  ) {
    this.#roles = roles;
    this.#tokens = tokens;
    for (const role of this.roles()) this.#bytes += roleBytes(role);
    for (const token of this.tokens()) this.#count(token, 1);
  }

  /** Whether whoever comes needs a token. */
  get isRequired(): boolean {
    return this.#roots > 0;
  }

  /** Goes up with each edit that changed something. */
  get changes(): number {
    return this.#changes;
  }

  /** By name, without the one that is always there. */
  *roles(): Generator<Role, void> {
    for (const [, role] of this.#roles.ascending(all)) yield role;
  }

  /** By id. */
  *tokens(): Generator<Token, void> {
    for (const [, token] of this.#tokens.ascending(all)) yield token;
  }

  role(name: string): Role | undefined {
    return this.#roles.get(name);
  }

  /** Undefined where there is no such token. */
  principal(id: TokenId): Principal | undefined {
    const known = this.#principals.get(id);
    if (known !== undefined) return known;
    const token = this.#tokens.get(id);
    if (token === undefined) return undefined;
    const principal = new Principal(token, this.grantsOf(token));
    this.#principals.set(id, principal);
    return principal;
  }

  /** All that a token's roles grant, but for root's everything. */
  grantsOf({ roles }: Token): readonly Grant[] {
    return roles.flatMap((name) => this.#roles.get(name)?.grants ?? []);
  }

  /** Carries an edit out, or says why it can't be. */
  edit(edit: AccessEdit): AccessRefusal | null {
    const isFirst = edit.type === "putToken" && edit.first;
    if (isFirst && this.isRequired) return "not_first";
    if (!isFirst && !this.isRequired) return "not_required";
    const refusal = this.#carryOut(edit);
    if (refusal !== null) return refusal;
    this.#principals.clear();
    this.#changes++;
    return null;
  }

  /** As they are now. */
  freeze(): FrozenAccess {
    return { roles: this.#roles.clone(), tokens: this.#tokens.clone() };
  }

  /** What no edits could have left, or null. */
  flaw(): string | null {
    if (this.#roles.size > rolesMax || this.#tokens.size > tokensMax) {
      return "too many to be let in";
    }
    if (this.#bytes > accessBytesMax) return "roles and tokens beyond their bound";
    if (!this.isRequired && this.#roles.size + this.#tokens.size > 0) return "no root among tokens";
    for (const { roles } of this.tokens()) {
      if (!roles.every((name) => this.#isRole(name))) return "a token of no role";
    }
    return null;
  }

  #carryOut(edit: AccessEdit): AccessRefusal | null {
    switch (edit.type) {
      case "putRole":
        return this.#putRole(edit.role);
      case "deleteRole":
        return this.#deleteRole(edit.name);
      case "putToken":
        return this.#putToken(edit.token, edit.first);
      case "deleteToken":
        return this.#deleteToken(edit.id);
    }
  }

  #putRole(role: Role): AccessRefusal | null {
    const before = this.#roles.get(role.name);
    const freed = before === undefined ? 0 : roleBytes(before);
    const isOver = this.#bytes - freed + roleBytes(role) > accessBytesMax;
    if (isOver || (before === undefined && this.#roles.size >= rolesMax)) return "full";
    this.#roles.set(role.name, role);
    this.#bytes += roleBytes(role) - freed;
    return null;
  }

  #deleteRole(name: string): AccessRefusal | null {
    const role = this.#roles.get(name);
    if (role === undefined) return "no_such_role";
    for (const { roles } of this.tokens()) if (roles.includes(name)) return "role_in_use";
    this.#roles.delete(name);
    this.#bytes -= roleBytes(role);
    return null;
  }

  #putToken(token: Token, first: boolean): AccessRefusal | null {
    if (this.#tokens.get(token.id) !== undefined) return "token_exists";
    const roles = first ? [rootRole] : token.roles;
    if (!roles.every((name) => this.#isRole(name))) return "no_such_role";
    const isOver = this.#bytes + tokenBytes(token) > accessBytesMax;
    if (isOver || this.#tokens.size >= tokensMax) return "full";
    const kept = { ...token, roles };
    this.#tokens.set(token.id, kept);
    this.#count(kept, 1);
    return null;
  }

  #deleteToken(id: TokenId): AccessRefusal | null {
    const token = this.#tokens.get(id);
    if (token === undefined) return "no_such_token";
    if (token.roles.includes(rootRole) && this.#roots === 1) return "last_root";
    this.#tokens.delete(id);
    this.#count(token, -1);
    return null;
  }

  #count(token: Token, sign: 1 | -1): void {
    this.#bytes += sign * tokenBytes(token);
    if (token.roles.includes(rootRole)) this.#roots += sign;
  }

  #isRole(name: string): boolean {
    return name === rootRole || this.#roles.get(name) !== undefined;
  }
}
