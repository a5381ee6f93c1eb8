// The npm package faktory-worker, unmodified, as producer and as worker.
const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const path = require("node:path");
const { Client } = require("faktory-worker");
const { Takt, cleanEnvironment } = require("./lib/takt");
const { start } = require("./lib/process");
const { sleep, until, unique } = require("./lib/wait");

let takt, client;
before(async () => {
  takt = await Takt.start({ env: { TAKT_PROTOCOL_ALLOW_FLUSH: "1" } });
  client = new Client({ url: takt.wireUrl, wid: unique("client"), labels: ["test"] });
});
after(async () => {
  await client.close();
  await Takt.endAll();
});

function startWorker(queue, env = {}) {
  const script = path.join(__dirname, "fixtures", "faktory_worker.js");
  const own = cleanEnvironment({ FAKTORY_URL: takt.wireUrl, QUEUES: queue, ...env });
  return start(process.execPath, [script], { env: own });
}

test("connect, push, fetch, ack", async () => {
  await client.connect();
  const queue = unique("plain");
  const job = client.job("greet", "world", { n: 1 });
  job.queue = queue;
  job.custom = { locale: "de" };
  const jid = await job.push();
  const fetched = await client.fetch(queue);
  assert.equal(fetched.jid, jid);
  assert.deepEqual(fetched.args, ["world", { n: 1 }]);
  assert.deepEqual(fetched.custom, { locale: "de" });
  assert.deepEqual([fetched.retry, fetched.priority], [25, 5]);
  assert.equal(await client.ack(jid), "OK");
  assert.equal(await client.fetch(queue), null);
});

test("pushBulk", async () => {
  const queue = unique("bulk");
  const jobs = Array.from({ length: 1000 }, (_, i) => Object.assign(client.job("many", i), { queue }));
  assert.deepEqual(await client.pushBulk(jobs), {});
  const bad = [{ jid: "short", jobtype: "x", args: [], queue }, client.job("fine")];
  const refused = await client.pushBulk(bad);
  assert.deepEqual(Object.keys(refused), ["short"]);
  const info = await client.info();
  assert.equal(info.faktory.queues[queue], 1000);
  for (let i = 0; i < 20; i++) assert.equal((await client.fetch(queue)).args[0], i);
});

test("a scheduled job waits, shows in tasks, and comes", async () => {
  const queue = unique("later");
  const job = client.job("later");
  job.queue = queue;
  job.at = new Date(Date.now() + 1500);
  await job.push();
  assert.equal((await client.info()).faktory.tasks.Scheduled.size, 1);
  assert.equal(await Promise.race([client.fetch(queue), sleep(1200).then(() => "waiting")]), "waiting");
  await until("it is pending or leased", async () => (await client.info()).faktory.tasks.Scheduled.size === 0, 5000);
});

test("fail: the error is kept, tasks.Retries counts it, mutate requeues and kills it", async () => {
  const queue = unique("failing");
  const job = client.job("boom");
  job.queue = queue;
  job.retry = 2;
  const jid = await job.push();
  await client.fetch(queue);
  await client.fail(jid, Object.assign(new Error("it broke"), { code: "EBROKEN" }));
  assert.equal((await client.info()).faktory.tasks.Retries.size, 1);
  await client.retries.withJids(jid).requeue();
  const again = await client.fetch(queue);
  assert.equal(again.failure.retry_count, 0);
  assert.equal(again.failure.errtype, "EBROKEN");
  assert.equal(again.failure.message, "it broke");
  assert.match(again.failure.backtrace[0], /it broke/);
  await client.fail(jid, new Error("again"));
  await client.retries.withJids(jid).kill();
  const { tasks } = (await client.info()).faktory;
  assert.deepEqual([tasks.Retries.size, tasks.Dead.size], [0, 1]);
  await client.dead.withJids(jid).discard();
  assert.equal((await client.info()).faktory.tasks.Dead.size, 0);
});

test("beat answers OK, flush empties", async () => {
  assert.equal(await client.beat(), "OK");
  await client.job("gone").push();
  assert.equal(await client.flush(), "OK");
  assert.equal((await client.info()).faktory.total_enqueued, 0);
});

test("a worker process runs jobs, fails jobs, and stops in order on TERM", async () => {
  const queue = unique("worked");
  const push = async (type, ...args) => {
    const job = client.job(type, ...args);
    job.queue = queue;
    return job.push();
  };
  const worker = startWorker(queue);
  await until("ready", () => worker.stdout.includes("ready"), 10000);
  const [quick, broken] = [await push("sleep", 1), await push("fail")];
  await takt.api.reaches(quick, "succeeded");
  const failed = await takt.api.reaches(broken, "retrying");
  assert.deepEqual([failed.errors[0].type, failed.errors[0].message], ["EBROKEN", "it broke"]);
  const long = await push("sleep", 1200);
  await until("it runs", () => worker.stdout.includes(`start ${long}`));
  worker.kill("SIGTERM");
  assert.equal((await worker.exited).code, 0, worker.stderr);
  assert.equal((await takt.api.job(long)).state, "succeeded");
  const late = await push("sleep", 1);
  await sleep(300);
  assert.equal((await takt.api.job(late)).state, "pending");
});

test("TSTP quiets a worker: what runs ends, nothing new begins", async () => {
  const queue = unique("quiet");
  const push = async (ms) => {
    const job = client.job("sleep", ms);
    job.queue = queue;
    return job.push();
  };
  const worker = startWorker(queue);
  await until("ready", () => worker.stdout.includes("ready"), 10000);
  const running = await push(1500);
  await until("it runs", () => worker.stdout.includes(`start ${running}`));
  worker.kill("SIGTSTP");
  await sleep(100);
  // one fetch may be on its way, and the client works on what that one brings
  const later = [await push(1), await push(2), await push(3)];
  await takt.api.reaches(running, "succeeded");
  await sleep(2500);
  const states = await Promise.all(later.map(async (jid) => (await takt.api.job(jid)).state));
  assert.ok(states.filter((state) => state === "pending").length >= 2, `${states}`);
  assert.ok(!worker.ended);
  worker.kill("SIGTERM");
  await worker.exited;
});

test("two worker processes share the jobs, each runs once", async () => {
  const queue = unique("shared");
  const workers = [startWorker(queue), startWorker(queue)];
  await until("ready", () => workers.every((worker) => worker.stdout.includes("ready")), 10000);
  const jobs = Array.from({ length: 60 }, () => Object.assign(client.job("sleep", 5), { queue }));
  await client.pushBulk(jobs);
  await Promise.all(jobs.map((job) => takt.api.reaches(job.jid, "succeeded", 15000)));
  const started = workers.flatMap((worker) => worker.stdout.match(/^start \S+/gm) || []);
  assert.equal(started.length, 60);
  assert.equal(new Set(started).size, 60);
  for (const worker of workers) worker.kill("SIGTERM");
  await Promise.all(workers.map((worker) => worker.exited));
});
