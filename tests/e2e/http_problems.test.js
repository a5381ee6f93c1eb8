// What HTTP requests are refused, and how: problems with stable codes, all wrong fields at once.
const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const http = require("node:http");
const net = require("node:net");
const { Takt } = require("./lib/takt");
const { unique } = require("./lib/wait");

let takt, api;
before(async () => {
  takt = await Takt.start();
  api = takt.api;
});
after(() => Takt.endAll());

function isProblem(answer, status, code) {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.headers.get("content-type"), /^application\/problem\+json/);
  assert.equal(answer.body.status, status);
  if (code) assert.equal(answer.body.code, code);
  assert.ok(answer.body.title && answer.body.type && answer.body.detail !== undefined);
  assert.equal(answer.body.request_id, answer.headers.get("x-request-id"));
}

const wrongJobs = [
  [{}, "/type"],
  [{ type: "" }, "/type"],
  [{ type: "a b" }, "/type"],
  [{ type: "t".repeat(129) }, "/type"],
  [{ type: 5 }, "/type", "wrong-type"],
  [{ type: "takt.secret" }, "/type", "reserved-name"],
  [{ type: "t", queue: "takt.notify" }, "/queue", "reserved-name"],
  [{ type: "t", id: "takt.1" }, "/id", "reserved-name"],
  [{ type: "t", queue: "a/b" }, "/queue"],
  [{ type: "t", id: "x".repeat(65) }, "/id"],
  [{ type: "t", priority: 0 }, "/priority", "out-of-range"],
  [{ type: "t", priority: 10 }, "/priority", "out-of-range"],
  [{ type: "t", priority: 5.5 }, "/priority"],
  [{ type: "t", priority: "5" }, "/priority"],
  [{ type: "t", delay: "soon" }, "/delay", "invalid-duration"],
  [{ type: "t", delay: "-1s" }, "/delay"],
  [{ type: "t", delay: 10 }, "/delay"],
  [{ type: "t", run_at: "tomorrow" }, "/run_at", "invalid-time"],
  [{ type: "t", run_at: "2999-01-01T00:00:00Z" }, "/run_at"],
  [{ type: "t", delay: "99999d" }, "/delay"],
  [{ type: "t", retry: { max_attempts: 0 } }, "/retry/max_attempts"],
  [{ type: "t", retry: { backoff: "wild" } }, "/retry/backoff"],
  [{ type: "t", retry: { max_attemps: 3 } }, "/retry/max_attemps", "unknown-member"],
  [{ type: "t", tags: [1] }, "/tags/0"],
  [{ type: "t", tags: Array(33).fill("x") }, "/tags"],
  [{ type: "t", tags: "x" }, "/tags"],
  [{ type: "t", meta: { a: 1 } }, "/meta/a"],
  [{ type: "t", timeout: "0s" }, "/timeout"],
  [{ type: "t", state: "dead" }, "/state", "read-only-member"],
  [{ type: "t", priorty: 9 }, "/priorty", "unknown-member"],
];
test("a wrong member is 422 with its pointer", async (t) => {
  for (const [job, pointer, code] of wrongJobs) {
    await t.test(`${JSON.stringify(job).slice(0, 60)}: ${pointer}`, async () => {
      const answer = await api.post("/v1/jobs", job);
      isProblem(answer, 422, code);
      assert.ok(answer.body.errors.some((error) => error.pointer === pointer), answer.text);
    });
  }
});

test("all wrong members are named at once, unknown ones with a guess", async () => {
  const answer = await api.post("/v1/jobs", { type: "t", priority: 99, delay: "x", priorty: 1 });
  isProblem(answer, 422, "invalid-fields");
  assert.deepEqual(answer.body.errors.map((error) => error.pointer).sort(), ["/delay", "/priority", "/priorty"]);
  assert.match(answer.body.errors.find((error) => error.pointer === "/priorty").detail, /priority/);
  isProblem(await api.post("/v1/jobs", { type: "t", delay: "1s", run_at: "2030-01-01T00:00:00Z" }), 422);
});

for (const [name, body, status, code] of [
  ["no JSON", "{", 400, "invalid-json"],
  ["nothing", "", 400],
  ["a duplicate key", '{"type":"a","type":"b"}', 400, "duplicate-key"],
  ["JSON nested too deep", `{"type":"t","args":${"[".repeat(100)}${"]".repeat(100)}}`, 400, "json-too-deep"],
  ["bytes that are not UTF-8", Buffer.from('{"type":"\xff"}', "latin1"), 400],
  ["an array", "[]", 422],
  ["a trailing word", '{"type":"t"} x', 400, "invalid-json"],
]) {
  test(`a body of ${name} is ${status}`, async () => isProblem(await api.post("/v1/jobs", body), status, code));
}

test("args over the limit: 413; a body over the limit: 413", async () => {
  isProblem(await api.post("/v1/jobs", { type: "t", args: ["x".repeat(1 << 20)] }), 413, "payload-too-large");
  const fits = await api.post("/v1/jobs", { type: "t", queue: unique("fits"), args: ["x".repeat((1 << 20) - 4)] });
  assert.equal(fits.status, 201, fits.text.slice(0, 300));
  const status = await new Promise((resolve, reject) => {
    const headers = { Authorization: `Bearer ${takt.token}`, "Content-Type": "application/json", "Content-Length": 17 << 20 };
    const request = http.request(`${takt.url}/v1/jobs`, { method: "POST", headers }, (answer) => {
      resolve(answer.statusCode);
      request.destroy();
    });
    request.on("error", reject);
    request.flushHeaders();
  });
  assert.equal(status, 413);
});

test("methods, paths, media types", async () => {
  isProblem(await api.get("/v1/nothing"), 404, "not-found");
  isProblem(await api.get(`/v1/jobs/${unique("no")}`), 404, "job-not-found");
  const wrong = await api.call("PUT", "/v1/jobs", {});
  isProblem(wrong, 405, "method-not-allowed");
  assert.match(wrong.headers.get("allow"), /GET/);
  assert.match(wrong.headers.get("allow"), /POST/);
  isProblem(await api.post("/v1/jobs", "type=t", { "Content-Type": "application/x-www-form-urlencoded" }), 415);
  isProblem(await api.post("/v1/jobs", "{}", { "Content-Encoding": "gzip" }), 415);
  isProblem(await api.get("/v1/jobs", { Accept: "text/html" }), 406);
  isProblem(await api.get("/v1/jobs?colour=red"), 422);
  isProblem(await api.get("/v1/jobs?limit=0"), 422);
  isProblem(await api.get("/v1/jobs?limit=1001"), 422);
  isProblem(await api.get("/v1/jobs?state=happy"), 422);
  isProblem(await api.get("/v1/jobs/a%2Fb"), 400);
  const head = await api.call("HEAD", "/v1/jobs");
  assert.deepEqual([head.status, head.text], [200, ""]);
});

/** Sends bytes to the HTTP port and gives all that comes back until it closes (at most 3 s). */
function raw(bytes) {
  return new Promise((resolve) => {
    let text = "";
    const socket = net.connect(takt.httpPort, "127.0.0.1", () => socket.write(bytes));
    const done = () => {
      socket.destroy();
      resolve(text);
    };
    socket.setTimeout(3000, done);
    socket.on("data", (data) => (text += data.toString("latin1")));
    socket.on("error", done).on("close", done).on("end", done);
  });
}
for (const [name, bytes, expected] of [
  ["no HTTP at all", "hello there\r\n\r\n", /^(HTTP\/1\.1 400|$)/],
  ["two Content-Lengths", "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", /^HTTP\/1\.1 400/],
  ["length and chunks", "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", /^HTTP\/1\.1 400/],
  ["an endless header", `GET / HTTP/1.1\r\nHost: x\r\nA: ${"a".repeat(200000)}`, /^HTTP\/1\.1 431/],
  ["an endless path", `GET /${"a".repeat(100000)} HTTP/1.1\r\nHost: x\r\n\r\n`, /^HTTP\/1\.1 414/],
  ["no Host", "GET /healthz HTTP/1.1\r\n\r\n", /^HTTP\/1\.1 400/],
  ["a NUL in the path", "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", /^HTTP\/1\.1 400/],
]) {
  test(`malformed HTTP: ${name}`, async () => assert.match(await raw(bytes), expected));
}

test("pipelined requests are answered in order", async () => {
  const one = (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const text = await raw(one("/healthz") + one("/nothing") + "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  assert.deepEqual(text.match(/HTTP\/1\.1 \d+/g), ["HTTP/1.1 200", "HTTP/1.1 404", "HTTP/1.1 200"]);
});
