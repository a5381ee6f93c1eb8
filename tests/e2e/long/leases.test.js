// What has to wait for leases of 30 s and more: silent workers, plain and opted in, stopped ones; expired tokens.
const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { Takt } = require("../lib/takt");
const { processesWith, temporaryDirectory } = require("../lib/process");
const { newJid } = require("../lib/wire");
const { sleep, until, unique } = require("../lib/wait");

let takt, api;
before(async () => {
  takt = await Takt.start();
  api = takt.api;
});
after(() => Takt.endAll());

test("an opted-in worker that is silent loses its jobs after 30 s, its connection open", async () => {
  const queue = unique("silent");
  const { id } = await api.submit({ type: "t", queue });
  const silent = await takt.worker(unique("silent"));
  const [first] = await silent.lease(queue);
  const begun = Date.now();
  const other = await takt.worker(unique("other"));
  let second;
  // a TFETCH counts as a beat, so the other one lives
  while (!second && Date.now() - begun < 40000) [second] = await other.lease(queue, 1, 5000);
  const took = Date.now() - begun;
  assert.deepEqual([second?.jid, second?.attempt], [id, 2]);
  assert.ok(took >= 29500 && took <= 31500, `${took} ms`);
  assert.deepEqual(await silent.call("TDONE", [{ jid: id, fence: first.fence }]), { [id]: "STALE" });
});

test("a plain worker that has beaten loses its jobs 60 s after its last BEAT; one that never did keeps them", async () => {
  const queue = unique("plain");
  const [beating, quiet] = [await takt.wire({ wid: unique("beats") }), await takt.wire({ wid: unique("never") })];
  const [one, two] = [newJid(), newJid()];
  await quiet.push({ queue, jid: one });
  await quiet.fetch(queue);
  await quiet.push({ queue, jid: two });
  await beating.fetch(queue);
  const wid = (await api.job(two)).worker;
  assert.equal(await beating.call("BEAT", { wid }), "OK");
  await sleep(55000);
  assert.equal((await api.job(two)).lost, 0);
  const job = await until("it is lost", async () => {
    const seen = await api.job(two);
    return seen.lost === 1 && seen;
  }, 8000);
  assert.equal(job.state, "pending");
  assert.equal((await api.job(one)).state, "running");
});

test("SIGSTOP of a worker past its lease: the job runs elsewhere, its late result is stale, its command is ended", async () => {
  const queue = unique("stopped");
  const marker = `3800.${process.pid}`;
  const first = takt.startWorker({ types: { nap: { exec: ["sleep", marker] } }, queues: [queue] });
  const { id } = await api.submit({ type: "nap", queue });
  await until("it runs", () => processesWith(`sleep ${marker}`).length > 0);
  first.kill("SIGSTOP");
  takt.startWorker({ types: { nap: { exec: ["echo", "2"] } }, queues: [queue] });
  const job = await api.reaches(id, "succeeded", 36000);
  assert.deepEqual([job.attempt, job.lost, job.result], [2, 1, 2]);
  first.kill("SIGCONT");
  await until("its command is gone", () => processesWith(marker).length === 0, 3000);
  await sleep(2000);
  assert.deepEqual([(await api.job(id)).state, (await api.job(id)).result], ["succeeded", 2]);
});

test("SIGSTOP of an idle worker past its lease: the job that waits in its socket is not run when it goes on", async () => {
  const queue = unique("late");
  const file = path.join(temporaryDirectory(), "runs");
  const worker = (name) => takt.startWorker({ types: { mark: { exec: ["sh", "-c", `echo ${name} >> ${file}`] } }, queues: [queue] });
  const first = worker("first");
  const here = async () => (await api.get("/v1/workers")).body.items.find((item) => item.pid === first.pid);
  await until("it is there", here);
  await sleep(500); // its TFETCH is parked
  first.kill("SIGSTOP");
  const { id } = await api.submit({ type: "mark", queue });
  await until("it is leased", async () => (await api.job(id)).state === "running");
  const second = worker("second");
  const job = await api.reaches(id, "succeeded", 36000);
  assert.deepEqual([job.attempt, job.lost], [2, 1]);
  second.kill("SIGKILL");
  first.kill("SIGCONT");
  const { id: next } = await api.submit({ type: "mark", queue });
  assert.equal((await api.reaches(next, "succeeded", 5000)).attempt, 1);
  assert.deepEqual(fs.readFileSync(file, "utf8").trim().split("\n"), ["second", "first"]);
});

test("a node that is down for longer than a lease restarts no job", async () => {
  const node = await Takt.start();
  const queue = unique("outage");
  node.startWorker({ types: { nap: { exec: ["sleep", "{args.s}"] } }, queues: [queue] });
  const { id } = await node.api.submit({ type: "nap", queue, args: { s: 45 } });
  await node.api.reaches(id, "running");
  await node.kill();
  await sleep(36000);
  await node.up();
  const job = await node.api.reaches(id, ["succeeded", "dead", "retrying"], 20000);
  assert.deepEqual([job.state, job.attempt, job.lost], ["succeeded", 1, 0]);
  await node.end();
});

test("a token expires, with a minute for clocks that differ, and says so", async () => {
  const { token } = (await api.post("/v1/tokens", { roles: ["viewer"], ttl: "1s" })).body;
  assert.equal((await api.as(token).get("/v1/jobs")).status, 200);
  await sleep(62500);
  const answer = await api.as(token).get("/v1/jobs");
  assert.deepEqual([answer.status, answer.body.code], [401, "token-expired"]);
});

test("a worker that does not come back after a restart loses its jobs", async () => {
  const takt = await Takt.start();
  const gone = await takt.worker("gone");
  const { id } = await takt.api.submit({ type: "t", queue: "q" });
  await gone.lease("q");
  await takt.kill();
  await gone.close();
  await takt.up();
  const other = await takt.worker("other");
  const begun = Date.now();
  const [job] = await other.lease("q", 1, 40000);
  assert.deepEqual([job.jid, job.attempt], [id, 2]);
  assert.ok(Date.now() - begun < 36000);
  await takt.end();
});
