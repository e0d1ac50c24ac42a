/** This software's version, as `package.json` and `deno.json` have it. */
export const version = "0.2.0";
