// Workers that are killed, stopped and restarted: their jobs run elsewhere, and no process is left behind.
const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const { Takt } = require("./lib/takt");
const { processesWith, isAlive } = require("./lib/process");
const { Proxy } = require("./lib/proxy");
const { sleep, until, unique } = require("./lib/wait");

const length = (i) => `${3700 + i}.${process.pid}${Date.now() % 1000}`;
let takt, api;
before(async () => {
  takt = await Takt.start();
  api = takt.api;
});
after(() => Takt.endAll());

test("kill -9 of a worker: its command ends at once, the job runs elsewhere within 6 s", async () => {
  const [queue, marker] = [unique("killed"), length(1)];
  const types = { nap: { exec: ["sh", "-c", `setsid sleep ${marker} & sleep ${marker}`] } };
  const first = takt.startWorker({ types, queues: [queue] });
  const { id } = await api.submit({ type: "nap", queue });
  await until("it runs", () => processesWith(`sleep ${marker}`).length >= 2);
  const running = await api.job(id);
  const second = takt.startWorker({ types: { nap: { exec: ["echo", "{args.n}"] } }, queues: [queue] });
  await until("the other is there", async () => (await api.get("/v1/workers")).body.items.some((item) => item.pid === second.pid));
  const begun = Date.now();
  first.kill("SIGKILL");
  await until("no process of it is left", () => processesWith(marker).length === 0, 3000);
  const taken = await until("it runs elsewhere", async () => {
    const job = await api.job(id);
    return job.attempt === 2 && job;
  });
  assert.ok(Date.now() - begun <= 6000, `${Date.now() - begun} ms`);
  assert.ok(taken.fence > running.fence);
  assert.equal(taken.lost, 1);
  second.kill("SIGKILL");
});

test("TERM drains: what runs ends, nothing new begins, exit 0", async () => {
  const queue = unique("drain");
  const worker = takt.startWorker({ types: { nap: { exec: ["sleep", "1.5"] } }, queues: [queue], concurrency: 1 });
  const [one, two] = [await api.submit({ type: "nap", queue }), await api.submit({ type: "nap", queue })];
  await api.reaches(one.id, "running");
  worker.kill("SIGTERM");
  assert.deepEqual(await worker.exited, { code: 0, signal: null });
  assert.equal((await api.job(one.id)).state, "succeeded");
  assert.equal((await api.job(two.id)).state, "pending");
  assert.equal((await api.job(two.id)).attempt, 0);
});

test("a second TERM ends running commands at once; they run again", async () => {
  const [queue, marker] = [unique("hurry"), length(2)];
  const worker = takt.startWorker({ types: { nap: { exec: ["sleep", marker] } }, queues: [queue] });
  const { id } = await api.submit({ type: "nap", queue });
  await until("it runs", () => processesWith(`sleep ${marker}`).length > 0);
  worker.kill("SIGTERM");
  await sleep(300);
  worker.kill("SIGTERM");
  await worker.exited;
  assert.deepEqual(processesWith(marker), []);
  assert.ok(["pending", "retrying"].includes((await api.job(id)).state));
});

test("a worker that is started before its node waits for it, and survives its restart", async () => {
  const queue = unique("patient");
  const other = await Takt.start();
  await other.kill();
  const worker = other.startWorker({ types: { nap: { exec: ["sleep", "{args.s}"] } }, queues: [queue] });
  await sleep(500);
  await other.up();
  const { id } = await other.api.submit({ type: "nap", queue, args: { s: 4 } });
  await other.api.reaches(id, "running");
  await other.kill();
  await sleep(500);
  assert.ok(isAlive(worker.pid));
  await other.up();
  const job = await other.api.reaches(id, ["succeeded", "dead"], 15000);
  assert.deepEqual([job.state, job.attempt, job.lost], ["succeeded", 1, 0], "a restart of the node restarts no job");
  await other.end();
});

test("connections that are reset on both sides: the command is gone before the job runs elsewhere, within 7 s", async () => {
  const [queue, marker] = [unique("cut"), length(4)];
  const proxy = await Proxy.start(takt.port);
  const first = takt.startWorker({ types: { nap: { exec: ["sleep", marker] } }, queues: [queue], url: proxy.url });
  const { id } = await api.submit({ type: "nap", queue });
  await until("it runs", () => processesWith(`sleep ${marker}`).length > 0);
  const count = ["sh", "-c", `pgrep -c -x -f 'sleep ${marker}' || true`];
  const second = takt.startWorker({ types: { nap: { exec: count } }, queues: [queue] });
  await until("the other is there", async () => (await api.get("/v1/workers")).body.items.some((item) => item.pid === second.pid));
  const begun = Date.now();
  proxy.shun();
  await sleep(2500);
  assert.equal(processesWith(`sleep ${marker}`).length, 1, "it may be back in time");
  const job = await api.reaches(id, "succeeded", 10000);
  assert.ok(Date.now() - begun <= 7000, `${Date.now() - begun} ms`);
  assert.deepEqual([job.attempt, job.lost, job.result], [2, 1, 0]);
  second.kill("SIGKILL");
  proxy.welcome();
  const { id: next } = await api.submit({ type: "nap", queue });
  await until("the first works again", async () => (await api.job(next)).state === "running" && processesWith(`sleep ${marker}`).length > 0);
  first.kill("SIGKILL");
  proxy.stop();
});

test("connections that are reset and come back at once: the job goes on", async () => {
  const queue = unique("blip");
  const proxy = await Proxy.start(takt.port);
  const worker = takt.startWorker({ types: { nap: { exec: ["sleep", "6"] } }, queues: [queue], url: proxy.url });
  const { id } = await api.submit({ type: "nap", queue });
  await api.reaches(id, "running");
  proxy.shun();
  await sleep(800);
  proxy.welcome();
  const job = await api.reaches(id, ["succeeded", "dead", "retrying"], 15000);
  assert.deepEqual([job.state, job.attempt, job.lost], ["succeeded", 1, 0]);
  worker.kill("SIGKILL");
  proxy.stop();
});

test("takt serve with worker.concurrency runs jobs by a worker of its own; kill -9 of the node ends it", async () => {
  const marker = length(3);
  const config = `worker: {concurrency: 2}\ntypes:\n  hi: {exec: [echo, '"hi"']}\n  nap: {exec: [sleep, "${marker}"]}\n`;
  const node = await Takt.start({ config, env: { TAKT_PROTOCOL_PASSWORD: "between us" } });
  const { id } = await node.api.submit({ type: "hi" });
  assert.equal((await node.api.reaches(id, "succeeded")).result, "hi");
  await node.api.submit({ type: "nap" });
  await until("it runs", () => processesWith(`sleep ${marker}`).length > 0);
  const [{ pid }] = (await node.api.get("/v1/workers")).body.items;
  assert.ok(isAlive(pid));
  assert.ok(processesWith(`--parent ${node.node.pid}`).includes(pid));
  await node.kill();
  await until("worker and command are gone", () => !isAlive(pid) && processesWith(marker).length === 0, 45000);
});

test("a worker child that is killed is started again", async () => {
  const node = await Takt.start({ config: "worker: {concurrency: 1}\ntypes: {hi: {exec: [echo, '1']}}\n" });
  const only = async () => (await node.api.get("/v1/workers")).body.items.map((item) => item.pid);
  const [pid] = await until("the worker is there", async () => (await only()).length > 0 && only());
  process.kill(pid, "SIGKILL");
  await until("another one", async () => (await only()).some((other) => other !== pid), 8000);
  const { id } = await node.api.submit({ type: "hi" });
  await node.api.reaches(id, "succeeded");
  await node.end();
});

test("four workers, many jobs: every job runs once", async () => {
  const queue = unique("crowd");
  const workers = Array.from({ length: 4 }, () => takt.startWorker({ types: { t: { exec: ["echo", "{args.i}"] } }, queues: [queue], concurrency: 5 }));
  const jobs = Array.from({ length: 200 }, (_, i) => ({ type: "t", queue, args: { i } }));
  const { items } = (await api.post("/v1/jobs/bulk", { jobs })).body;
  await until("all are done", async () => (await api.get(`/v1/queues/${queue}`)).body.counts.succeeded === 200, 40000, 200);
  const list = (await api.get(`/v1/jobs?queue=${queue}&limit=1000&fields=id,args,result,attempt`)).body.items;
  for (const job of list) assert.deepEqual([job.attempt, job.result], [1, job.args.i]);
  assert.equal(items.length, list.length);
  for (const worker of workers) worker.kill("SIGTERM");
});
