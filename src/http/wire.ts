/**
 * What the HTTP interface says, as shapes: shared by the server, which writes them, and the client, which checks them.
 *
 * **Bytes in JSON.** Keys and values are bytes. Where both are UTF-8 an item shows them as text. Else it carries
 * `"encoding":"base64"`, and then its value is base64; its key is base64 too where the key is not UTF-8, which
 * `"keyEncoding":"base64"` says. (So `keyEncoding` never comes alone, and a key that can be read is never hidden.)
 * In CBOR both are byte strings, and neither member appears. In requests, too, a string is text unless the member that
 * says otherwise stands beside it.
 */
export * from "./wire/access.ts";
export * from "./wire/common.ts";
export * from "./wire/keys.ts";
export * from "./wire/leases.ts";
export * from "./wire/members.ts";
export * from "./wire/operations.ts";
export * from "./wire/restore.ts";
export * from "./wire/watch.ts";
