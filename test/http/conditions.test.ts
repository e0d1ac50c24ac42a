import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertProblem, fixture } from "./fixture.ts";

/** `here` is at revision 2, `gone` is absent. */
async function prepared() {
  const made = fixture();
  await made.put("x");
  await made.put("here");
  return made;
}

describe("a condition on a write", () => {
  const cases: [headers: Record<string, string>, here: boolean, gone: boolean][] = [
    [{ "if-match": '"2"' }, true, false],
    [{ "if-match": '"1"' }, false, false],
    [{ "if-match": "*" }, true, false],
    [{ "if-match": ' "1" , "2"' }, true, false],
    [{ "if-match": '"1","3"' }, false, false],
    [{ "if-match": 'W/"2"' }, false, false],
    [{ "if-match": '"abc"' }, false, false],
    [{ "if-match": '"02"' }, false, false],
    [{ "if-match": '"0"' }, false, false],
    [{ "if-match": '"99999999999999999999"' }, false, false],
    [{ "if-none-match": "*" }, false, true],
    [{ "if-none-match": '"2"' }, false, true],
    [{ "if-none-match": 'W/"2"' }, false, true],
    [{ "if-none-match": '"1"' }, true, true],
    [{ "if-match": "*", "if-none-match": '"1"' }, true, false],
    [{ "if-match": "*", "if-none-match": "*" }, false, false],
  ];
  for (const [headers, here, gone] of cases) {
    it(JSON.stringify(headers), async () => {
      for (const method of ["PUT", "DELETE"]) {
        for (const [key, holds] of [["here", here], ["gone", gone]] as const) {
          const { send, replica } = await prepared();
          const response = await send(method, `/v1/kv/${key}`, { headers });
          if (holds) {
            assert.ok(response.ok, `${method} ${key}: ${response.status}`);
            continue;
          }
          const etag = response.headers.get("etag");
          const body = await assertProblem(response, 412, "precondition_failed", "not_applied");
          assert.equal(etag, key === "here" ? '"2"' : null);
          assert.equal(body["revision"], key === "here" ? 2 : 0);
          assert.equal(response.headers.get("holdfast-revision"), "2");
          assert.equal(replica.machine.store.revision, 2);
        }
      }
    });
  }

  for (const header of ["2", '"2', "abc", '"2" "3"', "", '*,"2"', '"2",', ',"2"', 'w/"2"']) {
    it(`is refused where it is malformed: ${header}`, async () => {
      const { send, replica } = await prepared();
      for (const name of ["if-match", "if-none-match"]) {
        for (const method of ["PUT", "DELETE"]) {
          const response = await send(method, "/v1/kv/here", { headers: { [name]: header } });
          await assertProblem(response, 400, "bad_request", "not_applied");
        }
      }
      assert.equal(replica.log.length, 2);
    });
  }

  it("takes a list of bounded length", async () => {
    const { send } = await prepared();
    const tags = (count: number) => Array.from({ length: count }, (_, i) => `"${i + 1}"`).join(",");
    const put = (header: string) => send("PUT", "/v1/kv/here", { headers: { "if-match": header } });
    assert.equal((await put(tags(16))).status, 200);
    await assertProblem(await put(tags(17)), 400, "bad_request", "not_applied");
  });
});

describe("If-None-Match on a read", () => {
  for (const header of ['"2"', 'W/"2"', '"1", "2"', "*"]) {
    it(`answers 304 where the client has it: ${header}`, async () => {
      const { send } = await prepared();
      for (const method of ["GET", "HEAD"]) {
        const response = await send(method, "/v1/kv/here", {
          headers: { "if-none-match": header },
        });
        assert.equal(response.status, 304);
        assert.equal(response.headers.get("etag"), '"2"');
        assert.equal(response.headers.get("holdfast-revision"), "2");
        assert.equal(await response.text(), "");
      }
    });
  }

  it("answers 200 where the client has another, 404 where the key is absent, 400 where malformed", async () => {
    const { send } = await prepared();
    const get = (key: string, header: string) =>
      send("GET", `/v1/kv/${key}`, { headers: { "if-none-match": header } });
    assert.equal((await get("here", '"1"')).status, 200);
    assert.equal((await get("here", '"abc"')).status, 200);
    await assertProblem(await get("gone", "*"), 404, "not_found");
    await assertProblem(await get("here", "2"), 400, "bad_request");
  });
});
