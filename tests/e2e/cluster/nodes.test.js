// Several nodes on one store: what is done at one is in force at the others, and any of them may go.
const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const { Takt, newDatabase, newBroker } = require("../lib/takt");
const { Api } = require("../lib/api");
const { newJid } = require("../lib/wire");
const { sleep, unique, until } = require("../lib/wait");

const SOON = 5000; // 1 s is promised; the machine may be loaded

let store, broker, one, two;
const node = (options = {}) => Takt.start({ store, broker, ...options });
before(async () => {
  store = newDatabase();
  broker = newBroker();
  [one, two] = await Promise.all([node(), node()]);
});
after(() => Takt.endAll());

/** Milliseconds that it took. */
async function timed(what) {
  const begin = Date.now();
  await what;
  return Date.now() - begin;
}

const stateOf = async (takt, at = one) => {
  const { items } = (await at.api.get("/v1/nodes")).body;
  return items.find((item) => item.http.endsWith(`:${takt.httpPort}`))?.state;
};

test("nodes are listed everywhere, with their states; one that has ended in order is not", async () => {
  const three = await node();
  for (const takt of [one, two, three]) {
    const { items } = (await takt.api.get("/v1/nodes")).body;
    assert.deepEqual(items.map((item) => item.state), ["ready", "ready", "ready"]);
    assert.equal(new Set(items.map((item) => item.name)).size, 3);
    for (const item of items) assert.ok(Math.abs(item.clock_offset_ms) < 1000, `${item.clock_offset_ms}`);
  }
  const { stdout, code } = await one.cli(["nodes"]);
  assert.equal(code, 0);
  assert.equal(stdout.match(/ready/g).length, 3, stdout);
  assert.deepEqual(await three.stop(), { code: 0, signal: null });
  await until("it is not listed", async () => (await stateOf(three)) === undefined, SOON);
});

test("a token of one node counts at the other, and not once it is revoked there", async () => {
  assert.equal((await new Api(two.url, one.token).get("/v1/queues")).status, 200);
  const made = (await one.api.post("/v1/tokens", { roles: ["viewer"], ttl: "1h" })).body;
  const ask = () => new Api(two.url, made.token).get("/v1/queues");
  assert.equal((await ask()).status, 200);
  assert.equal((await one.api.delete(`/v1/tokens/${made.id}`)).status, 204);
  await until("the other node refuses it", async () => (await ask()).status === 401, SOON);
});

test("a token is made without a node, and the schema is checked", async () => {
  const made = await one.cli(["token", "create", "--role", "viewer", "--store", store], { env: { TAKT_TOKEN: "" } });
  assert.equal(made.code, 0, made.stderr);
  const answer = await fetch(`${two.url}/v1/queues`, { headers: { authorization: `Bearer ${made.stdout.trim()}` } });
  assert.equal(answer.status, 200);
  const checked = await one.cli(["migrate", "--check", "--store", store]);
  assert.deepEqual([checked.code, checked.stdout], [0, "the schema is at step 1, the newest\n"]);
  const empty = newDatabase();
  const due = await one.cli(["migrate", "--check", "--store", empty]);
  assert.equal(due.code, 6);
  assert.match(due.stderr, /run takt migrate/);
  const applied = await one.cli(["migrate", "--store", empty]);
  assert.deepEqual([applied.code, applied.stdout], [0, "step 1 of 1 applied\nthe schema is at step 1, the newest\n"]);
  const nowhere = await one.cli(["migrate", "--store", "postgres://u:hunter2@127.0.0.1:1/d"]);
  assert.equal(nowhere.code, 7);
  assert.doesNotMatch(nowhere.stderr, /hunter2/);
});

test("a job submitted at one runs at the other", async () => {
  const queue = unique("across");
  const worker = await two.worker(unique("w"));
  const waiting = worker.lease(queue, 1, 5000);
  const { id } = await one.api.submit({ type: "t", queue, args: [1] });
  const jobs = await waiting;
  assert.deepEqual(jobs.map((job) => job.jid), [id]);
  await worker.call("TDONE", [{ jid: id, fence: jobs[0].fence, result: { n: 1 } }]);
  assert.equal((await one.api.job(id)).state, "succeeded");
  await worker.close();
});

test("the same id sent to both at once makes one job", async () => {
  const [queue, id] = [unique("same"), unique("id")];
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, i) => [one, two][i % 2].api.post("/v1/jobs", { type: "t", queue, id })),
  );
  assert.deepEqual(answers.map((answer) => answer.status).sort(), [200, 200, 200, 200, 200, 200, 200, 201]);
  const workers = await Promise.all([one.worker(unique("w")), two.worker(unique("w"))]);
  const leased = await Promise.all(workers.map((worker) => worker.lease(queue, 5, 1000)));
  assert.deepEqual(leased.flat().map((job) => job.jid), [id]);
  await Promise.all(workers.map((worker) => worker.close()));
});

test("whoever waits at one node hears of what ended at the other", async () => {
  const queue = unique("wait");
  const { id } = await one.api.submit({ type: "t", queue });
  const worker = await two.worker(unique("w"));
  const [{ fence }] = await worker.lease(queue, 1, 5000);
  const answer = one.api.get(`/v1/jobs/${id}?wait=10s`);
  await sleep(300);
  await worker.call("TDONE", [{ jid: id, fence }]);
  const took = await timed(answer);
  assert.equal((await answer).body.state, "succeeded");
  assert.ok(took < SOON, `${took} ms`);
  await worker.close();
});

test("a pause at one is in force at the other within a second, and so is its end", async () => {
  const queue = unique("paused");
  const worker = await two.worker(unique("w"));
  assert.deepEqual(await worker.lease(queue, 1, 0), []);
  assert.equal((await one.api.post(`/v1/queues/${queue}/pause`, {})).status, 200);
  await sleep(SOON);
  await one.api.submit({ type: "t", queue });
  assert.deepEqual(await worker.lease(queue, 1, 1000), []);
  const waiting = worker.lease(queue, 1, 10000);
  await one.api.post(`/v1/queues/${queue}/resume`, {});
  const took = await timed(waiting);
  assert.equal((await waiting).length, 1);
  assert.ok(took < SOON + 1000, `${took} ms`);
  await worker.close();
});

test("a cancel at one reaches the worker at the other", async () => {
  const queue = unique("cancel");
  const { id } = await one.api.submit({ type: "t", queue });
  const wid = unique("w");
  const worker = await two.worker(wid);
  const [{ fence }] = await worker.lease(queue, 1, 5000);
  const beat = worker.call("BEAT", { wid, wait_ms: 8000 });
  await sleep(200);
  assert.equal((await one.api.post(`/v1/jobs/${id}/cancel`, {})).status, 202);
  const took = await timed(beat);
  assert.deepEqual((await beat).cancel, [id]);
  assert.ok(took < SOON, `${took} ms`);
  assert.deepEqual(await worker.call("TDONE", [{ jid: id, fence }]), { [id]: "STALE" });
  await worker.close();
});

test("a delayed job that was submitted at one is handed out by the other in time", async () => {
  const queue = unique("delayed");
  const worker = await two.worker(unique("w"));
  const job = await one.api.submit({ type: "t", queue, delay: "2s" });
  const [leased] = await worker.lease(queue, 1, 10000);
  const late = Date.now() - Date.parse(job.run_at);
  assert.equal(leased.jid, job.id);
  assert.ok(late >= -50 && late < SOON, `${late} ms late`);
  await worker.close();
});

test("kill -9 of a node: its worker goes on at another, and the job is not run again", async () => {
  const three = await node();
  const queue = unique("goes-on");
  const types = { nap: { exec: ["sleep", "2"] } };
  const worker = one.startWorker({ types, queues: [queue], url: [three.wireUrl, two.wireUrl] });
  const { id } = await one.api.submit({ type: "nap", queue });
  await one.api.reaches(id, "running");
  await three.kill();
  const job = await one.api.reaches(id, "succeeded", 15000);
  assert.deepEqual([job.attempt, job.lost], [1, 0]);
  await until("the dead node is seen to be silent", async () => (await stateOf(three)) === "silent", 10000);
  worker.kill("SIGTERM");
  await worker.exited;
});

test("kill -9 of a node and of its worker: the job runs again elsewhere, and the node's name is free soon", async () => {
  const three = await node();
  const queue = unique("death");
  const { id } = await one.api.submit({ type: "t", queue });
  const wid = unique("w");
  const lost = await three.worker(wid);
  assert.equal((await lost.lease(queue, 1, 5000)).length, 1);
  await three.kill();
  const took = await timed(three.up());
  assert.ok(took < 10000, `its own name kept it waiting for ${took} ms`);
  // the worker is gone with its node: nobody beats, and its lease of 30 s runs out
  assert.equal((await one.api.job(id)).state, "running");
  const again = await three.worker(wid);
  // it names what it holds: nothing
  const jobs = await again.call("TFETCH", { queues: [queue], n: 1, wait_ms: 8000, held: [] });
  assert.deepEqual(jobs.map((job) => job.jid), [id]);
  await again.close();
  await three.stop();
});

test("nodes are restarted one by one: a client that retries fails no request, and no attempt is consumed", async () => {
  const nodes = [one, two];
  const queue = unique("rolling");
  const types = { nap: { exec: ["sleep", "0.1"] } };
  const urls = nodes.map((takt) => takt.wireUrl);
  const workers = [urls, [...urls].reverse()].map((url) => one.startWorker({ types, queues: [queue], url }));
  const ids = [];
  let running = true;
  const submit = async (n) => {
    const id = newJid();
    await until("one of the nodes takes it", async () => {
      const { url } = nodes[n++ % 2];
      const answer = await new Api(url, one.token).post("/v1/jobs", { id, type: "nap", queue }).catch(() => null);
      if (answer) assert.ok([200, 201, 503].includes(answer.status), answer.text);
      return answer && answer.status < 300;
    }, 10000, 100);
    return id;
  };
  const load = (async () => {
    for (let n = 0; running; n++) {
      ids.push(await submit(n));
      await sleep(20);
    }
  })();
  for (const takt of nodes) {
    assert.deepEqual(await takt.stop(), { code: 0, signal: null });
    await takt.up();
  }
  running = false;
  await load;
  const counts = async () => (await one.api.get(`/v1/queues/${queue}`)).body.counts;
  await until("all have run", async () => (await counts()).succeeded === ids.length, 60000);
  const jobs = await Promise.all(ids.map((id) => one.api.job(id)));
  for (const job of jobs) assert.deepEqual([job.attempt, job.lost, job.failures], [1, 0, 0], JSON.stringify(job));
  for (const worker of workers) worker.kill("SIGTERM");
  await Promise.all(workers.map((worker) => worker.exited));
});
