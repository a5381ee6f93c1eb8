// Leases: who holds a job, for how long, and whose outcome counts. Opted-in and plain clients.
const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const { Takt } = require("./lib/takt");
const { newJid } = require("./lib/wire");
const { sleep, unique, until } = require("./lib/wait");

let takt, producer;
before(async () => {
  takt = await Takt.start();
  producer = await takt.wire();
});
after(() => Takt.endAll());

/** A queue with `count` jobs in it, and their jids. */
async function filled(count = 1, job = {}) {
  const queue = unique("lease");
  const jids = Array.from({ length: count }, newJid);
  await producer.call("PUSHB", jids.map((jid, i) => ({ jid, jobtype: "t", args: [i], queue, ...job })));
  return { queue, jids };
}

test("CAPS lists the extensions", async () => {
  const names = await producer.call("CAPS");
  for (const name of ["TFETCH", "TDONE", "TEXTEND"]) assert.ok(names.includes(name), name);
});

test("TFETCH gives many jobs with fence and lease, in order; TDONE takes results", async () => {
  const { queue, jids } = await filled(5);
  const worker = await takt.worker(unique("w"));
  const jobs = await worker.lease(queue, 3);
  assert.deepEqual(jobs.map((job) => job.jid), jids.slice(0, 3));
  for (const job of jobs) {
    assert.ok(Number.isSafeInteger(job.fence) && job.fence > 0);
    assert.equal(job.lease_ms, 30000);
    assert.equal(job.attempt, 1);
  }
  assert.equal(new Set(jobs.map((job) => job.fence)).size, 3);
  const result = { rows: [1, 2.5], big: "x" };
  const answers = await worker.call("TDONE", [
    { jid: jids[0], fence: jobs[0].fence, result },
    { jid: jids[1], fence: jobs[1].fence, error: { type: "Boom", message: "no", backtrace: ["a", "b"], retryable: false } },
    { jid: jids[2], fence: jobs[2].fence, error: { type: "Later", retry_after: "1h" } },
  ]);
  assert.deepEqual(answers, { [jids[0]]: "OK", [jids[1]]: "OK", [jids[2]]: "OK" });
  const [good, dead, later] = await Promise.all(jids.slice(0, 3).map((jid) => takt.api.job(jid)));
  assert.equal(good.state, "succeeded");
  assert.deepEqual(good.result, result);
  assert.equal(dead.state, "dead");
  assert.deepEqual([dead.errors[0].type, dead.errors[0].message], ["Boom", "no"]);
  assert.equal(later.state, "retrying");
  const wait = Date.parse(later.run_at) - Date.now();
  assert.ok(wait > 3590e3 && wait <= 3600e3, `${wait}`);
  assert.equal((await worker.lease(queue, 1000)).length, 2);
  assert.deepEqual(await worker.lease(queue, 10), []);
  await worker.close();
});

test("TFETCH waits as long as it is asked to, and wakes at once", async () => {
  const queue = unique("long-poll");
  const worker = await takt.worker(unique("w"));
  let begun = Date.now();
  assert.deepEqual(await worker.lease(queue, 1, 700), []);
  assert.ok(Date.now() - begun >= 600 && Date.now() - begun < 2500);
  begun = Date.now();
  const leased = worker.lease(queue, 10, 20000);
  await sleep(2500);
  await producer.push({ queue });
  assert.equal((await leased).length, 1);
  assert.ok(Date.now() - begun < 3000);
  await worker.close();
});

test("two workers and one job: one gets it", async () => {
  for (let round = 0; round < 10; round++) {
    const queue = unique("contended");
    const workers = await Promise.all([1, 2, 3].map((i) => takt.worker(unique(`w${i}`))));
    const fetches = workers.map((worker) => worker.lease(queue, 5, 400));
    await sleep(20);
    await producer.push({ queue });
    const got = (await Promise.all(fetches)).flat();
    assert.equal(got.length, 1);
    await Promise.all(workers.map((worker) => worker.close()));
  }
});

test("many workers share many jobs, each once", async () => {
  const { queue, jids } = await filled(500);
  const workers = await Promise.all(Array.from({ length: 8 }, () => takt.worker(unique("w"))));
  const seen = [];
  await Promise.all(
    workers.map(async (worker) => {
      for (;;) {
        const jobs = await worker.lease(queue, 7);
        if (jobs.length === 0) return;
        seen.push(...jobs.map((job) => job.jid));
        await worker.call("TDONE", jobs.map(({ jid, fence }) => ({ jid, fence })));
      }
    }),
  );
  assert.equal(seen.length, 500);
  assert.deepEqual(new Set(seen), new Set(jids));
  await Promise.all(workers.map((worker) => worker.close()));
});

test("parked BEATs in one write are all answered, whatever stands between them", async () => {
  const wid = unique("w");
  const worker = await takt.worker(wid);
  const beat = (wait_ms) => `BEAT ${JSON.stringify({ wid, wait_ms })}\r\n`;
  const replies = [worker.reply(), worker.reply(), worker.reply(), worker.reply()];
  worker.write(beat(50) + "HELLO\r\n" + beat(20) + beat(10));
  assert.deepEqual((await Promise.all(replies)).map(({ type }) => type), ["$", "-", "$", "$"]);
  await worker.close();
});

test("a fetch of names that no queue can have finds nothing", async () => {
  const worker = await takt.worker(unique("w"));
  assert.deepEqual(await worker.call("TFETCH", { queues: ["", "a b", "\u0000"], n: 1 }), []);
  assert.equal(await worker.call("CAPS").then(Array.isArray), true);
  await worker.close();
});

test("a jid that is given twice is answered once: OK if either counts", async () => {
  const { queue, jids: [jid] } = await filled();
  const worker = await takt.worker(unique("w"));
  const [{ fence }] = await worker.lease(queue);
  const other = fence + 1;
  const cases = [
    [`TEXTEND [{"jid":"${jid}","fence":${other}},{"jid":"${jid}","fence":${fence}}]`, `{"${jid}":30000}`],
    [`TDONE [{"jid":"${jid}","fence":${fence}},{"jid":"${jid}","fence":${other}}]`, `{"${jid}":"OK"}`],
    [`QUEUE LATENCY ${queue} ${queue}`, `{"${queue}":0}`],
  ];
  for (const [line, answer] of cases) assert.equal((await worker.ask(line)).text, answer);
  const refused = await worker.ask(`PUSHB [{"jid":"${jid}","args":1},{"jid":"${jid}","args":2},{},{}]`);
  assert.deepEqual(refused.text.match(/"[^"]*":/g), [`"${jid}":`, '"":']);
  await worker.close();
});

test("an outcome counts once: the same again is OK, another is STALE", async () => {
  const { queue, jids: [jid] } = await filled();
  const worker = await takt.worker(unique("w"));
  const [{ fence }] = await worker.lease(queue);
  const done = [{ jid, fence, result: 1 }];
  assert.deepEqual(await worker.call("TDONE", done), { [jid]: "OK" });
  assert.deepEqual(await worker.call("TDONE", done), { [jid]: "OK" });
  assert.deepEqual(await worker.call("TDONE", [{ jid, fence, result: 2 }]), { [jid]: "STALE" });
  assert.deepEqual(await worker.call("TDONE", [{ jid, fence, error: { type: "x" } }]), { [jid]: "STALE" });
  const job = await takt.api.job(jid);
  assert.deepEqual([job.state, job.result], ["succeeded", 1]);
  await worker.close();
});

test("a fence that is not the holder's, not the job's or no fence has no effect", async () => {
  const { queue, jids: [jid] } = await filled();
  const worker = await takt.worker(unique("w"));
  const other = await takt.worker(unique("w"));
  const [{ fence }] = await worker.lease(queue);
  const before = await takt.api.metric("takt_stale_acks_total");
  for (const [from, wrong] of [[other, fence], [worker, fence + 1], [worker, 0], [worker, -1]]) {
    assert.deepEqual(await from.call("TDONE", [{ jid, fence: wrong }]), { [jid]: "STALE" });
  }
  assert.deepEqual(await worker.call("TDONE", [{ jid: "nobody-knows-it", fence }]), { "nobody-knows-it": "STALE" });
  for (const bad of ['"1"', "9223372036854775808", "1.5"]) {
    const reply = await worker.ask(`TDONE [{"jid":"${jid}","fence":${bad}}]`);
    assert.equal(reply.type, "-", bad);
  }
  assert.equal((await takt.api.job(jid)).state, "running");
  assert.ok((await takt.api.metric("takt_stale_acks_total")) >= before + 4);
  assert.deepEqual(await worker.call("TDONE", [{ jid, fence }]), { [jid]: "OK" });
  await Promise.all([worker.close(), other.close()]);
});

test("workers that hang up behind their outcomes: what arrived counts", async () => {
  const count = 40;
  const { queue, jids } = await filled(count);
  const workers = await Promise.all(jids.map(() => takt.worker(unique("w"))));
  const leases = await Promise.all(workers.map((worker) => worker.lease(queue, 1, 2000)));
  workers.forEach((worker, i) => {
    const [{ jid, fence }] = leases[i];
    worker.socket.end(`TDONE [{"jid":"${jid}","fence":${fence}}]\r\n`);
  });
  setImmediate(() => workers.forEach((worker) => worker.socket.destroy()));
  await Promise.all(workers.map((worker) => worker.ended));
  await until("an outcome counted", async () => {
    const jobs = await Promise.all(jids.map((jid) => takt.api.job(jid)));
    for (const job of jobs) assert.match(job.state, /^(running|pending|succeeded)$/);
    return jobs.some((job) => job.state === "succeeded");
  });
});

test("TEXTEND answers the lease, or STALE", async () => {
  const { queue, jids: [jid] } = await filled();
  const worker = await takt.worker(unique("w"));
  const [{ fence }] = await worker.lease(queue);
  const answer = await worker.call("TEXTEND", [{ jid, fence }, { jid: "nobody-knows-it", fence: 5 }]);
  assert.deepEqual(answer, { [jid]: 30000, "nobody-knows-it": "STALE" });
  assert.deepEqual(await worker.call("TEXTEND", [{ jid, fence: fence + 1 }]), { [jid]: "STALE" });
  await worker.close();
});

test("plain clients: ACK from another connection counts, late and unknown ones are +OK", async () => {
  const { queue, jids: [jid] } = await filled();
  const [one, two] = [await takt.wire({ wid: "" }), await takt.wire()];
  await one.fetch(queue);
  await one.close();
  await sleep(200);
  assert.equal((await takt.api.job(jid)).state, "running", "closing a plain connection fails nothing");
  assert.equal(await two.call("ACK", { jid }), "OK");
  assert.equal((await takt.api.job(jid)).state, "succeeded");
  assert.equal(await two.call("ACK", { jid }), "OK");
  assert.equal(await two.call("ACK", { jid: newJid() }), "OK");
  assert.equal(await two.call("FAIL", { jid }), "OK");
  assert.equal((await takt.api.job(jid)).state, "succeeded");
  await two.close();
});

test("a parked BEAT hears of a cancel within 1 s, and the late ack changes nothing", async () => {
  const { queue, jids: [jid] } = await filled();
  const wid = unique("w");
  const [worker, beat] = [await takt.worker(wid), await takt.worker(wid)];
  const [{ fence }] = await worker.lease(queue);
  const parked = beat.call("BEAT", { wid, wait_ms: 9000 });
  await sleep(200);
  const begun = Date.now();
  const answer = await takt.api.post(`/v1/jobs/${jid}/cancel`);
  assert.equal(answer.status, 202, answer.text);
  assert.deepEqual((await parked).cancel, [jid]);
  assert.ok(Date.now() - begun < 1000);
  const [late] = Object.values(await worker.call("TDONE", [{ jid, fence, result: "too late" }]));
  assert.ok(["OK", "STALE"].includes(late));
  const job = await takt.api.reaches(jid, "cancelled");
  assert.equal(job.result ?? null, null);
  await Promise.all([worker.close(), beat.close()]);
});

test("BEAT: plain +OK; parked without news answers when its time is up; unknown workers", async () => {
  const wid = unique("w");
  const plain = await takt.wire({ wid });
  assert.equal(await plain.call("BEAT", { wid }), "OK");
  assert.equal(await plain.call("BEAT", { wid, rss_kb: 1234, current_state: "" }), "OK");
  await assert.rejects(plain.call("BEAT", { wid: "nobody" }), /Unknown worker nobody/);
  const opted = await takt.worker(unique("w2"));
  const id = (await takt.api.get("/v1/workers")).body.items.map((item) => item.id).find((name) => name.startsWith("w2"));
  const begun = Date.now();
  assert.deepEqual(await opted.call("BEAT", { wid: id, wait_ms: 600 }), { state: "", cancel: [] });
  assert.ok(Date.now() - begun >= 500); // a timer counts from when its round of the loop began
  await Promise.all([plain.close(), opted.close()]);
});

test("the extensions need a wid and to be opted in", async () => {
  const plain = await takt.wire({ wid: unique("w") });
  const nameless = await takt.wire({ takt: {} });
  for (const wire of [plain, nameless]) {
    assert.equal((await wire.ask('TFETCH {"queues":["a"],"n":1,"wait_ms":0}')).type, "-");
    assert.equal((await wire.ask("TDONE []")).type, "-");
    await wire.close();
  }
});

test("a lost opted-in worker: its job runs elsewhere within 6 s, its late outcome is STALE", async () => {
  const { queue, jids: [jid] } = await filled();
  const wid = unique("lost");
  const lost = await takt.worker(wid);
  const [first] = await lost.lease(queue);
  const waiting = await takt.worker(unique("w"));
  const leased = waiting.lease(queue, 1, 9000);
  await lost.close();
  const begun = Date.now();
  const [second] = await leased;
  const took = Date.now() - begun;
  assert.equal(second.jid, jid);
  assert.ok(took >= 4900 && took <= 6000, `${took} ms`);
  assert.ok(second.fence > first.fence);
  assert.equal(second.attempt, 2);
  const back = await takt.worker(wid);
  assert.deepEqual(await back.call("TDONE", [{ jid, fence: first.fence }]), { [jid]: "STALE" });
  assert.deepEqual(await waiting.call("TDONE", [{ jid, fence: second.fence, result: 2 }]), { [jid]: "OK" });
  const job = await takt.api.job(jid);
  assert.deepEqual([job.state, job.lost, job.failures, job.result], ["succeeded", 1, 0, 2]);
  await Promise.all([back.close(), waiting.close()]);
});

test("a worker that comes back within 5 s keeps its jobs", async () => {
  const { queue, jids: [jid] } = await filled();
  const wid = unique("back");
  const first = await takt.worker(wid);
  const [{ fence }] = await first.lease(queue);
  await first.close();
  await sleep(3000);
  const again = await takt.worker(wid);
  await sleep(3500);
  assert.deepEqual(await again.call("TDONE", [{ jid, fence, result: "kept" }]), { [jid]: "OK" });
  assert.equal((await takt.api.job(jid)).lost, 0);
  await again.close();
});

test("a job that loses its worker four times is dead: worker_lost; max_lost 0 is dead at once", async () => {
  const poison = await takt.api.submit({ type: "poison", queue: unique("poison") });
  const once = await takt.api.submit({ type: "once", queue: poison.queue, max_lost: 0, retry: { max_attempts: 1 } });
  const attempts = { [poison.id]: 0, [once.id]: 0 };
  for (let round = 0; round < 4; round++) {
    const worker = await takt.worker(unique("victim"));
    for (const job of await worker.lease(poison.queue, 10, 7000)) attempts[job.jid]++;
    await worker.close();
  }
  const [dead, single] = [await takt.api.reaches(poison.id, "dead", 8000), await takt.api.job(once.id)];
  assert.deepEqual([dead.reason, dead.lost, dead.attempt], ["worker_lost", 4, 4]);
  assert.deepEqual([single.state, single.reason, single.attempt], ["dead", "worker_lost", 1]);
  assert.deepEqual(attempts, { [poison.id]: 4, [once.id]: 1 });
});

test("jobs whose TFETCH reply was lost run again as soon as the worker says what it holds", async () => {
  const { queue, jids } = await filled(3);
  const wid = unique("w");
  const beats = await takt.worker(wid);
  const first = await takt.worker(wid);
  const [kept] = await first.lease(queue, 3);
  await first.close();
  const again = await takt.worker(wid);
  const request = { queues: [queue], n: 3, wait_ms: 1000, held: [kept.fence] };
  const jobs = await again.call("TFETCH", request);
  assert.deepEqual(jobs.map((job) => job.jid).sort(), jids.slice(1).sort());
  assert.deepEqual(jobs.map((job) => job.attempt), [2, 2]);
  const done = [kept, ...jobs].map(({ jid, fence }) => ({ jid, fence }));
  const answers = await again.call("TDONE", done);
  assert.deepEqual(Object.values(answers), ["OK", "OK", "OK"]);
  await again.close();
  await beats.close();
});

/** Two connections of one worker, the older one first, and a call of each of TFETCH. */
async function pair(queue) {
  const wid = unique("w");
  const take = (wire, more) => wire.call("TFETCH", { queues: [queue], n: 5, wait_ms: 0, ...more });
  return { wid, older: await takt.worker(wid), newer: await takt.worker(wid), take };
}

test("what an overtaken connection holds takes nothing away, and it gets nothing", async () => {
  for (const more of [{ held: [] }, {}]) {
    const { queue, jids: [jid, other] } = await filled(2);
    const { wid, older, newer, take } = await pair(queue);
    const [{ fence }] = await take(newer, { n: 1, ...more });
    assert.deepEqual(await take(older, { held: [] }), []);
    const job = await takt.api.job(jid);
    assert.deepEqual([job.state, job.lost, job.attempt], ["running", 0, 1]);
    await newer.close();
    assert.deepEqual(await take(older, { held: [] }), [], "also when the newer one is gone");
    assert.equal((await takt.api.job(jid)).state, "running");
    const newest = await takt.worker(wid);
    assert.deepEqual((await take(newest, { held: [fence] })).map((item) => item.jid), [other]);
    assert.deepEqual(await newest.call("TDONE", [{ jid, fence }]), { [jid]: "OK" });
    await Promise.all([older.close(), newest.close()]);
  }
});

test("a TFETCH with held ends those that older connections of the worker wait with", async () => {
  const queue = unique("overtaken");
  const { older, newer, take } = await pair(queue);
  const stranger = await takt.worker(unique("w"));
  const parked = [take(older, { wait_ms: 9000 }), take(older, { wait_ms: 800 })];
  const waiting = take(stranger, { wait_ms: 9000, n: 1 });
  await sleep(200);
  const begun = Date.now();
  assert.deepEqual(await take(newer, { held: [] }), []);
  assert.deepEqual(await parked[0], []);
  assert.deepEqual(await parked[1], []);
  assert.ok(Date.now() - begun < 500, "at once");
  const later = take(older, { wait_ms: 1000 });
  const jid = newJid();
  await producer.push({ queue, jid });
  assert.deepEqual((await waiting).map((job) => [job.jid, job.attempt]), [[jid, 1]]);
  await producer.push({ queue });
  assert.deepEqual(await later, []);
  assert.ok(Date.now() - begun > 900, "it waits all the same");
  assert.equal((await take(newer)).length, 1);
  await Promise.all([older.close(), newer.close(), stranger.close()]);
});

test("jobs that come while a newer connection takes over reach it", async () => {
  for (let round = 0; round < 20; round++) {
    const queue = unique("takeover");
    const { older, newer, take } = await pair(queue);
    take(older, { wait_ms: 9000 }).catch(() => {});
    await sleep(20);
    const jid = newJid();
    const [, jobs] = await Promise.all([producer.push({ queue, jid }), take(newer, { held: [], wait_ms: 3000 })]);
    assert.deepEqual(jobs.map((job) => job.jid), [jid]);
    await Promise.all([older.close(), newer.close()]);
  }
});

test("without held, connections of one worker fetch side by side", async () => {
  const queue = unique("pool");
  const { older, newer, take } = await pair(queue);
  const both = [older, newer].map((wire) => take(wire, { n: 1, wait_ms: 3000 }));
  await sleep(100);
  await producer.push({ queue });
  await producer.push({ queue });
  assert.deepEqual((await Promise.all(both)).map((jobs) => jobs.length), [1, 1]);
  await Promise.all([older.close(), newer.close()]);
});
