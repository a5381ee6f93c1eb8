// The node as a service: health, metrics, its own document, log lines; nothing secret in any of them.
const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { Takt } = require("./lib/takt");
const { until, unique } = require("./lib/wait");

let takt, api;
before(async () => {
  takt = await Takt.start();
  api = takt.api;
});
after(() => Takt.endAll());

test("healthz and readyz", async () => {
  assert.equal((await api.get("/healthz")).body.status, "ok");
  const ready = await api.get("/readyz");
  assert.deepEqual([ready.status, ready.body.status, ready.body.store], [200, "ready", "up"]);
});

test("metrics: every series has a # TYPE, histograms are whole, counters move", async () => {
  const queue = unique("measured");
  const names = ["takt_jobs_enqueued_total", "takt_jobs_finished_total", "takt_job_attempts_failed_total"];
  const counts = () => Promise.all(names.map((name) => api.metric(name, { queue })));
  assert.deepEqual(await counts(), [0, 0, 0]);
  const worker = await takt.worker(unique("w"));
  await api.post("/v1/jobs/bulk", { jobs: Array(3).fill({ type: "m", queue }) });
  const jobs = [];
  while (jobs.length < 3) jobs.push(...(await worker.lease(queue, 3, 1000)));
  await worker.call("TDONE", jobs.map(({ jid, fence }, i) => ({ jid, fence, ...(i ? {} : { error: { type: "E" } }) })));
  assert.deepEqual(await counts(), [3, 2, 1]);
  assert.equal(await api.metric("takt_jobs_finished_total", { queue, type: "m", outcome: "succeeded" }), 2);
  assert.equal(await api.metric("takt_queue_jobs", { queue, state: "retrying" }), 1);
  assert.equal(await api.metric("takt_job_run_seconds_count", { queue }), 3);
  assert.equal(await api.metric("takt_store_up"), 1);
  assert.ok((await api.metric("takt_build_info")) === 1);
  assert.ok((await api.metric("takt_workers")) >= 1);
  const { text, headers } = await api.get("/metrics");
  assert.match(headers.get("content-type"), /^text\/plain/);
  const types = new Map([...text.matchAll(/^# TYPE (\S+) (counter|gauge|histogram|summary)$/gm)].map((m) => [m[1], m[2]]));
  for (const line of text.split("\n")) {
    if (!line || line.startsWith("#")) continue;
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*\})? (-?[\d.]+(?:e[-+]?\d+)?|\+Inf|NaN)$/.exec(line);
    assert.ok(match, line);
    const family = match[1].replace(/_(bucket|sum|count)$/, "");
    assert.ok(types.has(match[1]) || types.get(family) === "histogram", `no type: ${line}`);
  }
  assert.ok([...types.keys()].some((name) => name.startsWith("process_")));
  for (const name of ["takt_job_wait_seconds", "takt_store_commit_seconds", "takt_http_request_seconds"]) {
    assert.equal(types.get(name), "histogram");
    assert.match(text, new RegExp(`^${name}_bucket\\{[^}]*le="\\+Inf"\\} \\d+$`, "m"));
  }
  await worker.close();
});

test("http requests are counted by route, not by path", async () => {
  const labels = { route: "/v1/jobs/{id}", method: "GET", status: "404" };
  const before = await api.metric("takt_http_requests_total", labels);
  await api.get("/v1/jobs/nobody-1");
  await api.get("/v1/jobs/nobody-2");
  assert.equal(await api.metric("takt_http_requests_total", labels), before + 2);
  assert.ok(!(await api.get("/metrics")).text.includes("nobody-1"));
});

test("openapi.json names every route that is served", async () => {
  const { body } = await api.get("/openapi.json");
  assert.match(body.openapi, /^3\.1/);
  for (const route of ["/v1/jobs", "/v1/jobs/{id}", "/v1/jobs/bulk", "/v1/queues", "/healthz"]) assert.ok(body.paths[route], route);
  assert.ok(body.paths["/v1/jobs"].post && body.paths["/v1/jobs"].get);
});

test("nodes and workers are listed", async () => {
  const wid = unique("listed");
  const wire = await takt.worker(wid);
  const worker = (await api.get("/v1/workers?limit=1000")).body.items.find((item) => item.id === wid);
  assert.deepEqual([worker.hostname, worker.pid, worker.connections, worker.running], ["test", 1, 1, 0]);
  const { items } = (await api.get("/v1/nodes")).body;
  assert.equal(items.length, 1);
  assert.deepEqual([items[0].state, items[0].clock_offset_ms, items[0].name], ["ready", 0, worker.node]);
  assert.ok(items[0].started_at <= items[0].seen_at);
  await wire.close();
  await until("it is gone", async () => !(await api.get("/v1/workers")).text.includes(wid));
});

test("log lines are JSON with what identifies a request; no token is in any", async () => {
  const correlation = unique("order");
  await api.as("wrong.token.here").get("/v1/jobs");
  // lines of one kind are limited to one a second after a burst
  let id;
  const line = await until("the line", async () => {
    const answer = await api.post("/v1/jobs", { type: "logged" }, { "X-Correlation-Id": correlation });
    assert.equal((await api.job(answer.body.id)).correlation_id, correlation);
    id = answer.headers.get("x-request-id");
    return takt.log.split("\n").find((text) => text.includes(id));
  }, 10000, 1100);
  const entry = JSON.parse(line);
  for (const key of ["ts", "level", "msg"]) assert.equal(typeof entry[key], "string", key);
  assert.equal(entry.request_id, id);
  assert.equal(entry.correlation_id, correlation);
  assert.ok(Math.abs(Date.parse(entry.ts) - Date.now()) < 60000);
  for (const text of takt.log.trim().split("\n")) JSON.parse(text);
  assert.ok(!takt.log.includes(takt.token) && !takt.log.includes(takt.token.split(".")[2]));
  assert.ok(!takt.log.includes("wrong.token.here"));
});

test("--log-format text is for people", async () => {
  const other = await Takt.start({ flags: ["--log-format", "text"] });
  try {
    const line = other.log.split("\n").find((text) => text.includes("node.started"));
    assert.ok(line && !line.startsWith("{"), line);
  } finally {
    await other.end();
  }
});

test("a request id of the client's is not trusted blindly", async () => {
  const answer = await api.get("/healthz", { "X-Request-Id": "a".repeat(5000) });
  assert.ok((answer.headers.get("x-request-id") || "").length < 200);
});

test("files of the data directory are private", () => {
  assert.equal(fs.statSync(takt.data).mode & 0o077, 0);
  assert.equal(fs.statSync(path.join(takt.data, "admin.token")).mode & 0o777, 0o600);
  for (const name of fs.readdirSync(takt.data)) {
    if (/key/.test(name)) assert.equal(fs.statSync(path.join(takt.data, name)).mode & 0o077, 0, name);
  }
});
