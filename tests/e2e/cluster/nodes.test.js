// Several nodes on one store: what is done at one is in force at the others.
const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const { Takt, newDatabase, newBroker } = require("../lib/takt");
const { newJid } = require("../lib/wire");
const { sleep, unique, until } = require("../lib/wait");

const SOON = 1500; // 1 s is promised; the machine may be loaded

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

test("both nodes are listed, and a token of one counts at the other", async () => {
  const list = (await one.api.get("/v1/nodes")).body.items;
  assert.deepEqual(list.map((item) => item.state), ["ready", "ready"]);
  const other = { ...two, token: one.token };
  assert.equal(other.token, one.token);
  two.api.token = one.token;
  assert.equal((await two.api.get("/v1/nodes")).status, 200);
  const { stdout, code } = await two.cli(["nodes"]);
  assert.equal(code, 0);
  assert.match(stdout, /ready/);
});

test("a job submitted at one runs at the other", async () => {
  const queue = unique("across");
  const worker = await two.worker(unique("w"));
  const waiting = worker.lease(queue, 1, 5000);
  const { id } = (await one.api.post("/v1/jobs", { type: "t", queue, args: [1] })).body;
  const jobs = await waiting;
  assert.deepEqual(jobs.map((job) => job.jid), [id]);
  await worker.call("TDONE", [{ jid: id, fence: jobs[0].fence, result: { n: 1 } }]);
  assert.equal((await one.api.job(id)).state, "succeeded");
  await worker.close();
});

test("whoever waits at one node hears of what ended at the other", async () => {
  const queue = unique("wait");
  const { id } = (await one.api.post("/v1/jobs", { type: "t", queue, args: [] })).body;
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
  await one.api.post("/v1/jobs", { type: "t", queue, args: [] });
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
  const { id } = (await one.api.post("/v1/jobs", { type: "t", queue, args: [] })).body;
  const worker = await two.worker(unique("w"));
  const wid = unique("w");
  const beating = await two.worker(wid);
  const [{ fence }] = await beating.lease(queue, 1, 5000);
  const beat = beating.call("BEAT", { wid, wait_ms: 8000 });
  await sleep(200);
  assert.equal((await one.api.post(`/v1/jobs/${id}/cancel`, {})).status, 202);
  const took = await timed(beat);
  assert.deepEqual((await beat).cancel, [id]);
  assert.ok(took < SOON, `${took} ms`);
  assert.deepEqual(await beating.call("TDONE", [{ jid: id, fence }]), { [id]: "STALE" });
  await Promise.all([worker.close(), beating.close()]);
});

test("a token revoked at one is refused at the other", async () => {
  const made = (await one.api.post("/v1/tokens", { roles: ["viewer"], ttl: "1h" })).body;
  const ask = () => fetch(`${two.url}/v1/queues`, { headers: { authorization: `Bearer ${made.token}` } });
  assert.equal((await ask()).status, 200);
  assert.equal((await one.api.delete(`/v1/tokens/${made.id}`)).status, 204);
  await until("the other node refuses it", async () => (await ask()).status === 401, SOON);
});

test("a node that dies: its worker's jobs run again elsewhere, and its name is free soon", async () => {
  const three = await node();
  const queue = unique("death");
  const { id } = (await one.api.post("/v1/jobs", { type: "t", queue, args: [] })).body;
  const wid = unique("w");
  const lost = await three.worker(wid);
  assert.equal((await lost.lease(queue, 1, 5000)).length, 1);
  await three.kill();
  const begin = Date.now();
  await three.up();
  assert.ok(Date.now() - begin < 8000, "its own name did not keep it waiting for long");
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
  const done = [];
  let running = true;
  let failures = 0;
  const submit = async (n) => {
    const id = newJid();
    for (let attempt = 0; attempt < 100; attempt++) {
      const takt = nodes[(n + attempt) % 2];
      const answer = await fetch(`${takt.url}/v1/jobs`, {
        method: "POST",
        headers: { authorization: `Bearer ${one.token}`, "content-type": "application/json" },
        body: JSON.stringify({ id, type: "t", queue, args: [n] }),
      }).catch(() => null);
      if (answer && (answer.status === 201 || answer.status === 200 || answer.status === 409)) return id;
      await sleep(100);
    }
    failures++;
    return id;
  };
  const load = (async () => {
    for (let n = 0; running; n++) {
      done.push(await submit(n));
      await sleep(10);
    }
  })();
  for (const takt of nodes) {
    const end = await takt.stop();
    assert.equal(end.code, 0);
    await takt.up();
  }
  running = false;
  await load;
  assert.equal(failures, 0);
  const worker = await one.worker(unique("w"));
  const seen = new Set();
  await until("all of them have run", async () => {
    const jobs = await worker.lease(queue, 100, 500);
    for (const job of jobs) {
      assert.equal(job.attempt, 1);
      seen.add(job.jid);
    }
    if (jobs.length > 0) await worker.call("TDONE", jobs.map(({ jid, fence }) => ({ jid, fence })));
    return seen.size === new Set(done).size;
  }, 30000);
  await worker.close();
});
