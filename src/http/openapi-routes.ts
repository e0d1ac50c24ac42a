/** What `/openapi.json` tells of each route. */
import { accessRoutes } from "./openapi-access.ts";
import {
  answer,
  bodyErrors,
  conditions,
  confirmation,
  deleted,
  document,
  type Documented,
  durationText,
  flag,
  header,
  key,
  lease,
  member,
  members,
  once,
  paging,
  query,
  range,
  readErrors,
  reading,
  whole,
  writeErrors,
} from "./openapi-parts.ts";
import * as wire from "./wire.ts";

const keyRoutes: readonly Documented[] = [
  {
    path: "/v1/kv/{key}",
    method: "get",
    summary: "The value of a key",
    parameters: [key, ...reading, header("If-None-Match", "304 where the key is at one of these.")],
    answers: {
      200: {
        description: "The value, with the content type that it was put with.",
        body: { type: "value" },
      },
      304: { description: "The client has it." },
    },
    errors: [...readErrors, 404, 410],
  },
  {
    path: "/v1/kv/{key}",
    method: "put",
    summary: "Put a value",
    parameters: [
      key,
      query("ttl", "Deleted so long from now.", durationText),
      query("lease", "Deleted with this lease."),
      header("Holdfast-Metadata", "Up to 1 KiB of opaque bytes, in base64."),
      ...conditions,
      ...once,
    ],
    body: { type: "value" },
    answers: {
      200: answer("The value was replaced.", wire.PutAnswer),
      201: answer("The key was created.", wire.PutAnswer),
    },
    errors: [...bodyErrors, 404, 412],
  },
  {
    path: "/v1/kv/{key}",
    method: "delete",
    summary: "Delete a key",
    parameters: [key, ...conditions, ...once],
    answers: { 200: deleted },
    errors: [...writeErrors, 412],
  },
  {
    path: "/v1/kv",
    method: "get",
    summary: "A page of a range of keys",
    parameters: [
      ...range,
      ...reading,
      ...paging,
      query("reverse", "From the end to the start.", flag),
      query("values", "Whether items come with their values.", flag),
    ],
    answers: {
      200: answer("All of the same revision, as are the pages behind it.", wire.ListAnswer),
    },
    errors: [...readErrors, 410],
  },
  {
    path: "/v1/kv",
    method: "delete",
    summary: "Delete a range of keys",
    parameters: [...range, ...once],
    answers: { 200: deleted },
    errors: writeErrors,
  },
  {
    path: "/v1/txn",
    method: "post",
    summary: "Operations that happen together, if conditions hold",
    parameters: once,
    body: document(wire.TransactionRequest),
    answers: { 200: answer("What came of it, by one revision.", wire.TransactionAnswer) },
    errors: [...bodyErrors, 404, 412],
  },
  {
    path: "/v1/batch",
    method: "post",
    summary: "Independent operations",
    parameters: once,
    body: document(wire.BatchRequest),
    answers: { 200: answer("What came of each, in order.", wire.BatchAnswer) },
    errors: bodyErrors,
  },
  {
    path: "/v1/watch",
    method: "get",
    summary: "Changes as they happen, as server-sent events",
    parameters: [
      query("key", "One key."),
      ...range,
      query("from", "The first revision; the next one where it is not said.", whole),
      query("previous", "Whether events say what the key held before.", flag),
      ...confirmation,
      header("Last-Event-ID", "Goes on behind this revision."),
    ],
    answers: {
      200: {
        description:
          "Events put, delete, progress, overflow and refused; the id of each is its revision.",
        body: {
          type: "events",
          data: [
            wire.WatchPut,
            wire.WatchDelete,
            wire.WatchProgress,
            wire.WatchOverflow,
            wire.WatchRefused,
          ],
        },
      },
    },
    errors: [...readErrors, 410],
  },
];

const leaseRoutes: readonly Documented[] = [
  {
    path: "/v1/leases",
    method: "get",
    summary: "A page of the leases",
    parameters: [...confirmation, ...paging],
    answers: { 200: answer("By id.", wire.LeaseListAnswer) },
    errors: readErrors,
  },
  {
    path: "/v1/leases",
    method: "post",
    summary: "Grant a lease",
    parameters: once,
    body: document(wire.GrantRequest),
    answers: { 201: answer("It ends so long from now.", wire.LeaseAnswer) },
    errors: bodyErrors,
  },
  {
    path: "/v1/leases/{id}",
    method: "get",
    summary: "A lease and its keys",
    parameters: [lease, ...confirmation],
    answers: { 200: answer("As this node knows it.", wire.LeaseDetailAnswer) },
    errors: [...readErrors, 404],
  },
  {
    path: "/v1/leases/{id}",
    method: "delete",
    summary: "End a lease, and delete its keys",
    parameters: [lease, ...once],
    answers: { 200: deleted },
    errors: [...writeErrors, 404],
  },
  {
    path: "/v1/leases/{id}/keepalive",
    method: "post",
    summary: "Give a lease all of its time again",
    parameters: [lease, ...once],
    answers: { 200: answer("It ends so long from now.", wire.LeaseAnswer) },
    errors: [...writeErrors, 404],
  },
];

const clusterRoutes: readonly Documented[] = [
  {
    path: "/v1/status",
    method: "get",
    summary: "The cluster as this node sees it",
    answers: { 200: answer("At once, without asking others.", wire.StatusAnswer) },
    errors: [500],
  },
  {
    path: "/v1/leader",
    method: "put",
    summary: "Hand leadership over",
    body: document(wire.LeaderRequest),
    answers: { 200: answer("Who leads now.", wire.LeaderAnswer) },
    errors: bodyErrors.filter((status) => status !== 422),
  },
  {
    path: "/v1/members",
    method: "get",
    summary: "Who takes part",
    parameters: confirmation,
    answers: { 200: members },
    errors: readErrors,
  },
  {
    path: "/v1/members",
    method: "post",
    summary: "Take a member in",
    body: document(wire.AddMemberRequest),
    answers: {
      200: answer("It was one before.", wire.AddMemberAnswer),
      201: answer("It is one.", wire.AddMemberAnswer),
      202: answer("The change goes on, or has ended without it.", wire.AddMemberAnswer),
    },
    errors: [...bodyErrors.filter((status) => status !== 422), 409],
  },
  {
    path: "/v1/members",
    method: "put",
    summary: "Say who is to take part",
    body: document(wire.SetMembersRequest),
    answers: { 200: members, 202: answer("The change goes on.", wire.MembersAnswer) },
    errors: [...bodyErrors.filter((status) => status !== 422), 409],
  },
  {
    path: "/v1/members/{id}",
    method: "delete",
    summary: "Remove a member",
    parameters: [member],
    answers: {
      200: answer("It is none.", wire.RemoveMemberAnswer),
      202: answer("The change goes on.", wire.RemoveMemberAnswer),
    },
    errors: [...writeErrors.filter((status) => status !== 422), 404, 409],
  },
  {
    path: "/v1/backup",
    method: "get",
    summary: "The whole state at one revision, as a checksummed stream",
    parameters: confirmation,
    answers: {
      200: { description: "A backup: see holdfast verify.", body: { type: "value" } },
    },
    errors: [...readErrors, 429],
  },
  {
    path: "/v1/restore",
    method: "post",
    summary: "Make a backup's store that of a cluster which is empty",
    body: { type: "value" },
    answers: { 200: answer("It is.", wire.RestoreAnswer) },
    errors: [...bodyErrors.filter((status) => status !== 422), 412],
  },
  {
    path: "/v1/log",
    method: "get",
    summary: "Entries of this node's log, for debugging",
    parameters: [
      query("from", "The first index.", { type: "integer", minimum: 1 }),
      ...paging.slice(0, 1),
    ],
    answers: { 200: answer("Index, term, kind, size and decoded command.", null) },
    errors: readErrors,
  },
];

const health = answer("All is well.", null);
const nodeRoutes: readonly Documented[] = [
  {
    path: "/livez",
    method: "get",
    summary: "Whether the event loop and the disk answer",
    answers: { 200: health },
    errors: [500, 503],
  },
  {
    path: "/readyz",
    method: "get",
    summary: "Whether this node also knows a leader and is caught up",
    answers: { 200: health },
    errors: [500, 503],
  },
  {
    path: "/metrics",
    method: "get",
    summary: "Metrics for Prometheus",
    answers: {
      200: { description: "Its text format.", body: { type: "text", mediaType: "text/plain" } },
    },
    errors: [500],
  },
  {
    path: "/openapi.json",
    method: "get",
    summary: "This document",
    answers: { 200: answer("OpenAPI 3.1.", null) },
    errors: [429, 500],
  },
];

export const documentedRoutes: readonly Documented[] = [
  ...keyRoutes,
  ...leaseRoutes,
  ...accessRoutes,
  ...clusterRoutes,
  ...nodeRoutes,
];
