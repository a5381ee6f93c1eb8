// Who may do what over HTTP: no token, wrong tokens, every role on every route, queues, revoked tokens.
const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const { Takt } = require("./lib/takt");
const { unique } = require("./lib/wait");

const roles = ["viewer", "producer", "operator", "admin", "worker"];
const tokens = {};
let takt, api;
before(async () => {
  takt = await Takt.start();
  api = takt.api;
  for (const role of roles) tokens[role] = (await mint({ roles: [role] })).token;
});
after(() => Takt.endAll());

async function mint(wish) {
  const answer = await api.post("/v1/tokens", wish);
  assert.equal(answer.status, 201, answer.text);
  return answer.body;
}

// route, body, the least role of viewer < producer < operator < admin; + worker where it may as well
const routes = [
  ["GET", "/v1/auth/me", undefined, "viewer", "worker"],
  ["GET", "/v1/jobs", undefined, "viewer"],
  ["GET", "/v1/jobs/JOB", undefined, "viewer", "worker"],
  ["GET", "/v1/jobs/JOB/logs", undefined, "viewer", "worker"],
  ["GET", "/v1/dead", undefined, "viewer"],
  ["GET", "/v1/queues", undefined, "viewer"],
  ["GET", "/v1/queues/QUEUE", undefined, "viewer"],
  ["GET", "/v1/workers", undefined, "viewer"],
  ["GET", "/v1/nodes", undefined, "viewer"],
  ["POST", "/v1/jobs", { type: "t", queue: "made" }, "producer"],
  ["POST", "/v1/jobs/bulk", { jobs: [{ type: "t", queue: "made" }] }, "producer"],
  ["POST", "/v1/jobs/JOB/cancel", {}, "operator"],
  ["POST", "/v1/jobs/JOB/retry", {}, "operator"],
  ["DELETE", "/v1/jobs/JOB", undefined, "operator"],
  ["POST", "/v1/jobs/cancel", { queue: "nothing-here" }, "operator"],
  ["POST", "/v1/jobs/retry", { queue: "nothing-here" }, "operator"],
  ["POST", "/v1/dead/retry", { queue: "nothing-here" }, "operator"],
  ["POST", "/v1/dead/discard", { queue: "nothing-here" }, "operator"],
  ["POST", "/v1/queues/QUEUE/pause", {}, "operator"],
  ["POST", "/v1/queues/QUEUE/resume", {}, "operator"],
  ["POST", "/v1/tokens", { roles: ["viewer"] }, "admin"],
  ["DELETE", "/v1/tokens/no-such-token", undefined, "admin"],
];

for (const [method, route, body, least, also] of routes) {
  test(`${method} ${route}: ${least}${also ? ` and ${also}` : ""}`, async () => {
    for (const role of roles) {
      // a job of its own, since some routes change it
      const job = await api.submit({ type: "t", queue: unique("matrix") });
      const path = route.replace("JOB", job.id).replace("QUEUE", job.queue);
      const { status, body: said } = await api.as(tokens[role]).call(method, path, body);
      const allowed = role === also || (role !== "worker" && roles.indexOf(role) >= roles.indexOf(least));
      if (!allowed) assert.deepEqual([role, status, said.code], [role, 403, "forbidden"]);
      // a worker reads its own jobs only: this one is not
      else if (role === "worker" && /JOB/.test(route)) assert.equal(status, 404);
      else assert.ok(status < 300 || status === 409, `${role}: ${status}`);
    }
    const path = route.replace("JOB", "x").replace("QUEUE", "x");
    for (const token of [null, "nonsense"]) {
      const answer = await api.as(token).call(method, path, body);
      assert.equal(answer.status, 401);
      assert.match(answer.headers.get("www-authenticate") || "", /^Bearer/);
    }
  });
}

test("open to everyone: healthz, readyz, metrics, openapi.json", async () => {
  for (const path of ["/healthz", "/readyz", "/metrics", "/openapi.json"]) {
    assert.equal((await api.as(null).get(path)).status, 200, path);
  }
});

test("metrics can be closed", async () => {
  const closed = await Takt.start({ config: "http: {metrics_auth: true}\n" });
  try {
    assert.equal((await closed.api.as(null).get("/metrics")).status, 401);
    assert.equal((await closed.api.get("/metrics")).status, 200);
  } finally {
    await closed.end();
  }
});

const part = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const claims = () => JSON.parse(Buffer.from(tokens.admin.split(".")[1], "base64url"));

test("forged, changed and odd tokens are 401", async () => {
  const [header, body, signature] = tokens.admin.split(".");
  const none = part({ alg: "none", typ: "JWT" });
  const forged = crypto.createHmac("sha256", "guess").update(`${header}.${body}`).digest("base64url");
  const stronger = part({ ...claims(), takt: { roles: ["admin"] } });
  const bad = {
    "alg none": `${none}.${body}.`,
    "alg none with the signature": `${none}.${body}.${signature}`,
    "another key": `${header}.${body}.${forged}`,
    "changed claims": `${header}.${stronger}x.${signature}`,
    "no signature": `${header}.${body}`,
    "an empty signature": `${header}.${body}.`,
    "one byte off": `${header}.${body}.${signature.slice(0, -2)}${signature.at(-2) === "A" ? "B" : "A"}${signature.at(-1)}`,
    "another alg": `${part({ alg: "HS512", typ: "JWT" })}.${body}.${signature}`,
    "four parts": `${tokens.admin}.x`,
    "no JSON": `${part("x")}.${part("y")}.${part("z")}`,
    "64 KiB of letters": "a".repeat(60000),
    nothing: " ",
  };
  for (const [name, token] of Object.entries(bad)) {
    const { status } = await api.as(null).get("/v1/jobs", { Authorization: `Bearer ${token}` });
    assert.ok(status === 401 || (status === 431 && /KiB/.test(name)), `${name}: ${status}`);
  }
  for (const value of [tokens.admin, `Basic ${tokens.admin}`, "Bearer", `Bearer ${tokens.admin} x`]) {
    assert.equal((await api.as(null).get("/v1/jobs", { Authorization: value })).status, 401, value.slice(0, 20));
  }
  assert.equal((await api.as(null).get("/v1/jobs", { Authorization: `bearer ${tokens.admin}` })).status, 200);
  assert.ok((await api.metric("takt_auth_failures_total")) >= Object.keys(bad).length);
});

test("a revoked token is useless at once, and after a restart", async () => {
  const { id, token } = await mint({ roles: ["viewer"] });
  assert.equal((await api.delete(`/v1/tokens/${id}`)).status, 204);
  assert.equal((await api.as(token).get("/v1/jobs")).status, 401);
  await takt.restart();
  assert.equal((await takt.api.as(token).get("/v1/jobs")).status, 401);
  assert.equal((await takt.api.as(tokens.viewer).get("/v1/jobs")).status, 200, "the key is kept");
  api = takt.api;
});

test("a token bound to queues sees and touches only those", async () => {
  const { token } = await mint({ roles: ["operator"], queues: ["billing.*"] });
  const bound = api.as(token);
  const other = await api.submit({ type: "t", queue: "shipping" });
  const own = await bound.submit({ type: "t", queue: "billing.eu" });
  assert.equal((await bound.post("/v1/jobs", { type: "t", queue: "shipping" })).status, 403);
  assert.equal((await bound.post("/v1/jobs", { type: "t" })).status, 403, "default is another queue");
  assert.equal((await bound.get(`/v1/jobs/${own.id}`)).status, 200);
  assert.equal((await bound.get(`/v1/jobs/${other.id}`)).status, 404);
  assert.equal((await bound.post(`/v1/jobs/${other.id}/cancel`)).status, 404);
  assert.ok((await bound.get("/v1/jobs?limit=1000")).body.items.every((job) => job.queue === "billing.eu"));
  assert.ok((await bound.get("/v1/queues?limit=1000")).body.items.every((queue) => queue.name === "billing.eu"));
  assert.equal((await bound.post("/v1/jobs/cancel", { type: "t" })).body.matched, 1);
  assert.ok([403, 404].includes((await bound.post("/v1/queues/shipping/pause")).status));
  assert.equal((await api.job(other.id)).state, "pending");
});

test("me says who I am", async () => {
  const { token } = await mint({ roles: ["viewer"], subject: "ada", queues: ["a", "b.*"] });
  const { body } = await api.as(token).get("/v1/auth/me");
  assert.equal(body.subject, "ada");
  assert.deepEqual(body.roles, ["viewer"]);
  assert.deepEqual(body.queues, ["a", "b.*"]);
});
