// A node's life: one per data directory, drained by TERM, restarted with work under way, reloaded by HUP.
const { test, after } = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { Takt, binary, cleanEnvironment, freePorts } = require("./lib/takt");
const { run } = require("./lib/process");
const { newJid } = require("./lib/wire");
const { sleep, until, unique } = require("./lib/wait");

after(() => Takt.endAll());

test("a second node on the same data is refused in words, and the first goes on", async () => {
  const takt = await Takt.start();
  const [http, port] = await freePorts(2);
  const flags = ["--data", takt.data, "--http", `127.0.0.1:${http}`, "--worker", `127.0.0.1:${port}`];
  const end = await run(binary, ["serve", ...flags], { env: cleanEnvironment() });
  assert.equal(end.code, 6, end.stderr);
  assert.match(end.stderr, /another|already|in use/i);
  await takt.api.submit({ type: "t" });
  await takt.end();
});

test("a port that is taken stops the start in words", async () => {
  const takt = await Takt.start();
  const end = await run(binary, ["serve", "--data", `${takt.data}-2`, "--http", `127.0.0.1:${takt.httpPort}`, "--worker", "127.0.0.1:1"], { env: cleanEnvironment() });
  assert.ok(end.code > 0 && end.signal === null, `${end.code} ${end.signal}`);
  assert.match(end.stderr, new RegExp(`${takt.httpPort}`));
  await takt.end();
});

test("TERM drains and exits 0: what waits is answered, what is idle is closed", async () => {
  const takt = await Takt.start();
  const worker = await takt.worker("w1");
  const job = await takt.api.submit({ type: "t", queue: "q" });
  await worker.lease("q");
  const waiting = takt.api.get(`/v1/jobs/${job.id}?wait=60s`);
  const parked = worker.lease("empty", 1, 60000).catch(() => "closed");
  await sleep(200);
  const begun = Date.now();
  assert.deepEqual(await takt.stop(), { code: 0, signal: null });
  assert.ok(Date.now() - begun < 10000, `${Date.now() - begun} ms`);
  assert.equal((await waiting).body.state, "running");
  assert.ok(["closed"].includes(await parked) || (await parked).length === 0);
});

test("TERM with a worker of its own: the command that runs is waited for", async () => {
  const takt = await Takt.start({ config: "worker: {concurrency: 1}\ntypes: {nap: {exec: [sleep, '2']}}\n" });
  const { id } = await takt.api.submit({ type: "nap" });
  await takt.api.reaches(id, "running");
  assert.equal((await takt.stop()).code, 0);
  await takt.up();
  assert.equal((await takt.api.job(id)).state, "succeeded");
  await takt.end();
});

test("a plain worker that never beats has no session in the store; one that beats has", async () => {
  const takt = await Takt.start();
  const [silent, beating] = [unique("never-beats"), unique("beats")];
  await (await takt.wire({ wid: beating })).call("BEAT", { wid: beating });
  await sleep(500); // a beat is answered before its session is stored
  await takt.restart(); // which knows a session from the start, and so looks after all every 250 ms
  await takt.wire({ wid: silent });
  await sleep(1000);
  await takt.kill();
  const files = ["takt.db", "takt.db-wal"].map((name) => fs.readFileSync(path.join(takt.data, name)));
  const kept = (text) => files.some((bytes) => bytes.includes(text));
  assert.ok(kept(beating));
  assert.ok(!kept(silent), "its row would never be forgotten");
});

test("jobs of every state survive a kill -9; running ones can still be acknowledged", async () => {
  const takt = await Takt.start();
  const queue = unique("restart");
  const plain = await takt.wire({ wid: "plain-worker" });
  const opted = await takt.worker("opted-worker");
  const [held, leased] = [newJid(), newJid()];
  await plain.push({ queue, jid: held });
  await plain.fetch(queue);
  await plain.push({ queue, jid: leased });
  const [lease] = await opted.lease(queue);
  const pending = await takt.api.submit({ type: "t", queue: `${queue}-2`, args: [1, { b: 12345678901 }] });
  const scheduled = await takt.api.submit({ type: "t", queue, delay: "2500ms" });
  const failed = await takt.api.submit({ type: "t", queue: `${queue}-3`, retry: { base: "2s", backoff: "constant", jitter: "none" } });
  const [attempt] = await opted.lease(`${queue}-3`);
  await opted.call("TDONE", [{ jid: attempt.jid, fence: attempt.fence, error: { type: "E" } }]);
  await takt.api.post("/v1/queues/held/pause");
  await takt.restart();

  const state = async (id) => (await takt.api.job(id)).state;
  assert.deepEqual(await Promise.all([held, leased, scheduled.id, failed.id, pending.id].map(state)), ["running", "running", "scheduled", "retrying", "pending"]);
  assert.deepEqual((await takt.api.job(pending.id)).args, pending.args);
  assert.equal((await takt.api.get("/v1/queues/held")).body.paused, true);
  const again = await takt.wire({ wid: "plain-worker" });
  assert.equal(await again.call("ACK", { jid: held }), "OK");
  const back = await takt.worker("opted-worker");
  assert.deepEqual(await back.call("TDONE", [{ jid: leased, fence: lease.fence, result: "kept" }]), { [leased]: "OK" });
  assert.deepEqual(await Promise.all([held, leased].map(state)), ["succeeded", "succeeded"]);
  const [later] = await back.lease(queue, 1, 6000);
  assert.equal(later.jid, scheduled.id);
  const [retried] = await back.lease(`${queue}-3`, 1, 6000);
  assert.deepEqual([retried.jid, retried.attempt], [failed.id, 2]);
  assert.ok(retried.fence > later.fence && later.fence > lease.fence, "fences rise across restarts");
  await takt.end();
});

test("HUP reloads what can be reloaded, and says what can't", async () => {
  const takt = await Takt.start({ config: "log: {level: info}\nlimits: {bulk: 10}\n" });
  fs.writeFileSync(takt.configPath, "log: {level: warn}\nlimits: {bulk: 20}\n");
  takt.node.kill("SIGHUP");
  const line = await until("the line", () => takt.log.split("\n").find((text) => text.includes("config.reload")), 5000).catch(() => null);
  if (line) {
    const entry = JSON.parse(line);
    assert.match(entry.in_force, /log\.level/);
    assert.match(entry.needs_restart, /limits\.bulk/);
  }
  fs.writeFileSync(takt.configPath, "log: {level: loud}\n");
  takt.node.kill("SIGHUP");
  await until("refused", () => takt.log.includes("config.reload-refused"), 5000);
  assert.equal((await takt.api.get("/readyz")).status, 200);
  await takt.end();
});
