/** `POST /v1/restore`. */
import * as v from "valibot";
import { count } from "./common.ts";

/** What a restored store is. */
export interface RestoreAnswer {
  readonly revision: number;
  readonly keys: number;
}
export const RestoreAnswer: v.GenericSchema<unknown, RestoreAnswer> = v.object({
  revision: count,
  keys: count,
});
