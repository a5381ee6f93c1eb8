// Jobs over HTTP: submitted, shown, waited for, listed, cancelled, run again, in bulk; and what is refused.
const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const { Takt } = require("./lib/takt");
const { sleep, unique } = require("./lib/wait");

let takt, api, worker;
before(async () => {
  takt = await Takt.start();
  api = takt.api;
  worker = await takt.worker(unique("w"));
});
after(() => Takt.endAll());

/** Leases `n` jobs of a queue (as many as there are), and ends each by `outcome(job)`: {result} or {error}. */
async function work(queue, outcome = () => ({}), n = 0) {
  const jobs = await worker.lease(queue, n || 100, 2000);
  while (jobs.length < n) jobs.push(...(await worker.lease(queue, n - jobs.length, 2000)));
  await worker.call("TDONE", jobs.map((job) => ({ jid: job.jid, fence: job.fence, ...outcome(job) })));
  return jobs;
}

test("a job with all its members is shown as it was submitted", async () => {
  const job = {
    id: unique("all"), type: "Mail/Send", version: 2, queue: unique("all"), args: { to: ["a"], n: 1 }, priority: 7,
    retry: { max_attempts: 4, backoff: "linear", base: "3s", factor: 3, cap: "1m", jitter: "none" },
    max_lost: 1, timeout: "90s", tags: ["red", "blue"], meta: { tenant: "42" }, correlation_id: "order-17",
  };
  const answer = await api.post("/v1/jobs", job);
  assert.equal(answer.status, 201, answer.text);
  const shown = (await api.get(`/v1/jobs/${job.id}`)).body;
  for (const [name, value] of Object.entries({ ...job, timeout: shown.timeout, retry: shown.retry })) {
    assert.deepEqual(shown[name], value, name);
  }
  for (const [name, value] of Object.entries({ max_attempts: 4, backoff: "linear", factor: 3, jitter: "none" })) {
    assert.deepEqual(shown.retry[name], value, name);
  }
  assert.deepEqual([shown.state, shown.attempt, shown.failures, shown.lost, shown.run], ["pending", 0, 0, 0, 1]);
  assert.match(shown.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.ok(answer.headers.get("x-request-id"));
});

test("defaults", async () => {
  const job = await api.submit({ type: "t", queue: unique("defaults") });
  assert.match(job.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.deepEqual([job.args, job.priority, job.version, job.max_lost], [[], 5, 1, 3]);
  assert.deepEqual([job.retry.max_attempts, job.retry.backoff], [20, "exponential"]);
  assert.equal(job.correlation_id, job.id);
  assert.equal((await api.submit({ type: "t" })).queue, "default");
});

test("args are given back byte for byte", async () => {
  const args = '{"z":12345678901234567890,"a":1.10,"e":1E5,"s":"\\u0041ü"}';
  const queue = unique("bytes");
  const { body } = await api.post("/v1/jobs", `{"type":"t","queue":"${queue}","args":${args}}`);
  const shown = await api.get(`/v1/jobs/${body.id}`);
  for (const part of ["12345678901234567890", "1.10", "1E5"]) assert.ok(shown.text.includes(part), part);
  assert.ok(shown.text.indexOf('"z"') < shown.text.indexOf('"a"'));
});

test("the same id again gives the same job", async () => {
  const job = { id: unique("same"), type: "t", queue: unique("same"), args: [1] };
  assert.equal((await api.post("/v1/jobs", job)).status, 201);
  const again = await api.post("/v1/jobs", { ...job, args: [2] });
  assert.deepEqual([again.status, again.body.duplicate, again.body.id, again.body.args], [200, true, job.id, [1]]);
  assert.equal((await work(job.queue)).length, 1);
  assert.equal((await api.post("/v1/jobs", job)).status, 200, "kept: still the same");
});

test("a delay and a time to come; a time in the past means now", async () => {
  const queue = unique("times");
  const delayed = await api.submit({ type: "t", queue, delay: "700ms" });
  assert.equal(delayed.state, "scheduled");
  const past = await api.submit({ type: "t", queue, run_at: "2020-01-01T00:00:00Z" });
  assert.equal(past.state, "pending");
  assert.equal((await api.submit({ type: "t", queue: unique("zero"), delay: "0s" })).state, "pending");
  const first = await worker.lease(queue, 10);
  assert.deepEqual(first.map((job) => job.jid), [past.id]);
  const [second] = await worker.lease(queue, 10, 3000);
  assert.equal(second.jid, delayed.id);
  const late = Date.now() - Date.parse(delayed.run_at);
  assert.ok(late >= -5 && late < 500, `${late} ms`);
});

test("wait answers when the job is finished, or when the time is up", async () => {
  const queue = unique("wait");
  const job = await api.submit({ type: "t", queue });
  let begun = Date.now();
  assert.equal((await api.get(`/v1/jobs/${job.id}?wait=400ms`)).body.state, "pending");
  assert.ok(Date.now() - begun >= 300);
  const waited = api.get(`/v1/jobs/${job.id}?wait=20s`);
  await sleep(100);
  begun = Date.now();
  await work(queue, () => ({ result: { rows: 3 } }));
  const { body } = await waited;
  assert.ok(Date.now() - begun < 1000);
  assert.deepEqual([body.state, body.result], ["succeeded", { rows: 3 }]);
  assert.ok(body.started_at && body.finished_at);
  assert.equal((await api.get(`/v1/jobs/${job.id}?wait=20s`)).body.state, "succeeded");
});

test("retry timing: constant, linear and exponential without jitter", async () => {
  const queue = unique("backoff");
  const jobs = {};
  for (const backoff of ["constant", "linear", "exponential"]) {
    jobs[backoff] = await api.submit({ type: "t", queue, retry: { backoff, base: "300ms", factor: 3, jitter: "none", max_attempts: 3 } });
  }
  const gaps = Object.fromEntries(Object.values(jobs).map((job) => [job.id, []]));
  for (let left = 9; left > 0; ) {
    const failed = await work(queue, () => ({ error: { type: "E" } }));
    assert.ok(failed.length > 0, `${left} attempts missing`);
    left -= failed.length;
    for (const { jid } of failed) {
      const job = await api.job(jid);
      if (job.state === "retrying") gaps[jid].push(Date.parse(job.run_at) - Date.parse(job.errors.at(-1).finished_at));
    }
  }
  const near = (id, expected) => gaps[id].forEach((gap, i) => assert.ok(Math.abs(gap - expected[i]) <= 2, `${gaps[id]}`));
  near(jobs.constant.id, [300, 300]);
  near(jobs.linear.id, [300, 600]);
  near(jobs.exponential.id, [300, 900]);
  const dead = await api.reaches(jobs.linear.id, "dead");
  assert.deepEqual([dead.attempt, dead.failures, dead.errors.length], [3, 3, 3]);
});

test("retry_after and retryable: false of a failure are obeyed", async () => {
  const queue = unique("says");
  const [soon, never] = [await api.submit({ type: "soon", queue }), await api.submit({ type: "never", queue })];
  await work(queue, (job) => ({ error: { type: "E", ...(job.jobtype === "soon" ? { retry_after: "200ms" } : { retryable: false }) } }));
  assert.equal((await api.job(never.id)).state, "dead");
  const [again] = await worker.lease(queue, 1, 2000);
  assert.deepEqual([again.jid, again.attempt], [soon.id, 2]);
});

test("cancel: 200 when waiting, and it never starts; 202 when running; 409 when finished", async () => {
  const queue = unique("cancel");
  const waiting = await api.submit({ type: "t", queue });
  const cancelled = await api.post(`/v1/jobs/${waiting.id}/cancel`);
  assert.deepEqual([cancelled.status, cancelled.body.state], [200, "cancelled"]);
  assert.deepEqual(await worker.lease(queue), []);
  const running = await api.submit({ type: "t", queue });
  const [lease] = await worker.lease(queue);
  assert.equal((await api.post(`/v1/jobs/${running.id}/cancel`, {})).status, 202);
  await worker.call("TDONE", [{ jid: lease.jid, fence: lease.fence, result: 1 }]);
  assert.equal((await api.reaches(running.id, "cancelled")).result ?? null, null);
  const done = await api.submit({ type: "t", queue });
  await work(queue);
  const late = await api.post(`/v1/jobs/${done.id}/cancel`);
  assert.deepEqual([late.status, late.body.code], [409, "wrong-state"]);
});

test("retry of a dead job begins a new run", async () => {
  const queue = unique("again");
  const { id } = await api.submit({ type: "t", queue, retry: { max_attempts: 1 } });
  await work(queue, () => ({ error: { type: "E", message: "m" } }));
  const dead = await api.job(id);
  assert.deepEqual([dead.state, dead.errors[0].message], ["dead", "m"]);
  const answer = await api.post(`/v1/jobs/${id}/retry`);
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual([answer.body.state, answer.body.run, answer.body.failures], ["pending", 2, 0]);
  const [second] = await work(queue, () => ({ result: "fine" }));
  assert.equal(second.attempt, 2);
  assert.equal((await api.job(id)).state, "succeeded");
});

test("DELETE a finished job; not a live one", async () => {
  const queue = unique("delete");
  const { id } = await api.submit({ type: "t", queue });
  assert.equal((await api.delete(`/v1/jobs/${id}`)).status, 409);
  await work(queue);
  assert.equal((await api.delete(`/v1/jobs/${id}`)).status, 204);
  assert.equal((await api.get(`/v1/jobs/${id}`)).status, 404);
});

test("an expired job is cancelled, reason expired", async () => {
  const { id, queue } = await api.submit({ type: "t", queue: unique("expire"), expires_in: "200ms" });
  await sleep(400);
  assert.deepEqual(await worker.lease(queue), []);
  const job = await api.reaches(id, "cancelled", 5000);
  assert.equal(job.reason, "expired");
});

test("lists: newest first, cursor without gaps or repeats, filters, fields", async () => {
  const queue = unique("list");
  const jobs = Array.from({ length: 25 }, (_, i) => ({ type: i % 2 ? "odd" : "even", queue, args: [i], tags: i < 5 ? ["few", "all"] : ["all"] }));
  const made = (await api.post("/v1/jobs/bulk", { jobs })).body.items.map((item) => item.id);
  const seen = [];
  let cursor = "";
  do {
    const { body, status } = await api.get(`/v1/jobs?queue=${queue}&limit=10${cursor && `&cursor=${cursor}`}`);
    assert.equal(status, 200);
    assert.ok(body.items.length <= 10);
    seen.push(...body.items);
    cursor = body.next;
  } while (cursor);
  assert.deepEqual(seen.map((job) => job.id), made.reverse());
  assert.equal(seen[0].args, undefined, "lists leave out args");
  const count = async (query) => (await api.get(`/v1/jobs?queue=${queue}&limit=1000&${query}`)).body.items.length;
  assert.equal(await count("type=odd"), 12);
  assert.equal(await count("tag=few"), 5);
  assert.equal(await count("tag=all&tag=few"), 5);
  assert.equal(await count("state=pending"), 25);
  assert.equal(await count("state=finished"), 0);
  assert.equal(await count(`created_after=${new Date(Date.now() + 60000).toISOString()}`), 0);
  const { items } = (await api.get(`/v1/jobs?queue=${queue}&limit=1&fields=id,args`)).body;
  assert.deepEqual(items, [{ id: made[0], args: [24] }]);
});

test("a cursor of another list, or none of ours, is refused", async () => {
  const queue = unique("cursor");
  await api.post("/v1/jobs/bulk", { jobs: Array(3).fill({ type: "t", queue }) });
  const { next } = (await api.get(`/v1/jobs?queue=${queue}&limit=1`)).body;
  for (const path of [`/v1/jobs?limit=1&cursor=${next}`, "/v1/jobs?cursor=nonsense", `/v1/jobs?queue=${queue}&cursor=${next}x`]) {
    const answer = await api.get(path);
    assert.deepEqual([answer.status, answer.body.code], [400, "invalid-cursor"], path);
  }
});

test("bulk: all or none, as JSON or NDJSON; partial takes the good ones, in order", async () => {
  const queue = unique("bulk");
  const lines = (jobs) => jobs.map((job) => JSON.stringify(job)).join("\n");
  const ndjson = { "Content-Type": "application/x-ndjson" };
  const good = { type: "t", queue };
  const bad = { type: "t", queue, priority: 12 };
  const refused = await api.post("/v1/jobs/bulk", { jobs: [good, bad] });
  assert.equal(refused.status, 422);
  assert.equal(refused.body.errors[0].pointer, "/jobs/1/priority");
  assert.equal((await api.get(`/v1/jobs?queue=${queue}`)).body.items.length, 0);
  const taken = await api.post("/v1/jobs/bulk", `${lines([good, good, good])}\n`, ndjson);
  assert.deepEqual([taken.status, taken.body.items.length], [201, 3]);
  const partial = await api.post("/v1/jobs/bulk?partial=true", lines([good, bad, "no job", good]), ndjson);
  assert.equal(partial.status, 200);
  const results = partial.text.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(results.map((result) => (result.error ? result.error.status : result.state)), ["pending", 422, 422, "pending"]);
  assert.equal((await api.get(`/v1/jobs?queue=${queue}`)).body.items.length, 5);
  assert.equal((await api.post("/v1/jobs/bulk", { jobs: [] })).status, 422);
  assert.equal((await api.post("/v1/jobs/bulk", { jobs: Array(10001).fill({ type: "t" }) })).status, 422);
  const many = await api.post("/v1/jobs/bulk", { jobs: Array(10000).fill({ type: "t", queue: unique("many") }) });
  assert.deepEqual([many.status, many.body.items.length], [201, 10000]);
});

test("mass cancel and retry, the dead letter queue", async () => {
  const queue = unique("mass");
  await api.post("/v1/jobs/bulk", { jobs: Array(6).fill({ type: "t", queue, retry: { max_attempts: 1 } }) });
  assert.equal((await api.post("/v1/jobs/cancel", {})).status, 422, "an empty filter is not everything");
  assert.equal((await api.post("/v1/jobs/cancel", { queue, dry_run: true })).body.matched, 6);
  await work(queue, () => ({ error: { type: "E" } }), 4);
  assert.equal((await api.get(`/v1/jobs?queue=${queue}&state=dead`)).body.items.length, 4);
  assert.deepEqual((await api.post("/v1/jobs/cancel", { queue })).body, { matched: 2 });
  assert.deepEqual((await api.post("/v1/dead/retry", { queue })).body, { matched: 4 });
  await work(queue, () => ({ error: { type: "E" } }), 4);
  assert.deepEqual((await api.post("/v1/dead/discard", { queue })).body, { matched: 4 });
  const left = (await api.get(`/v1/jobs?queue=${queue}`)).body.items;
  assert.deepEqual(left.map((job) => job.state), ["cancelled", "cancelled"]);
});

test("queues: counts, pause and resume", async () => {
  const queue = unique("queue");
  await api.submit({ type: "t", queue });
  await api.submit({ type: "t", queue, delay: "1h" });
  assert.equal((await api.post(`/v1/queues/${queue}/pause`)).body.paused, true);
  const shown = (await api.get(`/v1/queues/${queue}`)).body;
  assert.deepEqual([shown.name, shown.paused, shown.counts.pending, shown.counts.scheduled], [queue, true, 1, 1]);
  assert.ok((await api.get("/v1/queues?limit=1000")).body.items.some((item) => item.name === queue));
  assert.deepEqual(await worker.lease(queue, 1, 200), []);
  const leased = worker.lease(queue, 1, 5000);
  await sleep(100);
  await api.post(`/v1/queues/${queue}/resume`);
  assert.equal((await leased).length, 1, "a resume wakes who waits");
  assert.equal((await api.get("/v1/queues/never-heard-of")).status, 404);
});
