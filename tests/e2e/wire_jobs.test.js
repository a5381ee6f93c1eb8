// Jobs over the worker protocol: what goes in comes out, in which order, and the verbs that operators have.
const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const { Takt } = require("./lib/takt");
const { newJid } = require("./lib/wire");
const { sleep, until, unique } = require("./lib/wait");

let takt, wire;
before(async () => {
  takt = await Takt.start();
  wire = await takt.wire({ wid: unique("plain") });
});
after(() => Takt.endAll());

test("the greeting is exactly the protocol's", async () => {
  const fresh = await takt.wire(null);
  assert.equal(fresh.greeting, 'HI {"v":2}');
  await fresh.close();
});

test("a job comes back with all that was pushed", async () => {
  const queue = unique("whole");
  const job = { jid: newJid(), jobtype: "Some::Type", args: [1, "two", { three: [null] }], queue };
  const more = { retry: 3, backtrace: 7, reserve_for: 120, priority: 8, custom: { locale: "de", deep: { a: 1 } } };
  assert.equal(await wire.push({ ...job, ...more }), "OK");
  const back = await wire.fetch(queue);
  for (const [key, value] of Object.entries({ ...job, ...more })) assert.deepEqual(back[key], value, key);
  assert.ok(Date.parse(back.created_at) > Date.now() - 60000);
  assert.ok(Date.parse(back.enqueued_at) > Date.now() - 60000);
  assert.equal(back.failure, undefined);
  assert.equal(back.fence, undefined, "a plain client sees nothing new");
  assert.equal(await wire.call("ACK", { jid: job.jid }), "OK");
});

test("defaults are always sent", async () => {
  const queue = unique("defaults");
  await wire.push({ queue, retry: 3 });
  await wire.push({ queue });
  await wire.fetch(queue);
  const back = await wire.fetch(queue);
  assert.equal(back.retry, 25, "another job's retry is not taken over");
  assert.equal(back.reserve_for, 1800);
  assert.equal(back.priority, 5);
});

test("retry 0 and -1 are shown as 0", async () => {
  const queue = unique("retries");
  for (const retry of [0, -1]) {
    await wire.push({ queue, retry });
    assert.equal((await wire.fetch(queue)).retry, 0);
  }
});

test("big integers come back digit by digit", async () => {
  const queue = unique("digits");
  const args = "[12345678901234567890,-9007199254740993,1.10,1e400,0.1000000000000000055511151231257827]";
  const reply = await wire.ask(`PUSH {"jid":"${newJid()}","jobtype":"t","queue":"${queue}","args":${args}}`);
  assert.deepEqual(reply, { type: "+", text: "OK" });
  const back = await wire.ask(`FETCH ${queue}`);
  assert.ok(back.text.includes(`"args":${args}`), back.text);
});

test("text comes back as it was, on one line", async () => {
  const queue = unique("text");
  const args = ["grüße 🎉", "a\u2028b", "<&>", "quote\" \\ \n\t\u0001", "\u0000"];
  await wire.push({ queue, args });
  const raw = await wire.ask(`FETCH ${queue}`);
  assert.ok(!/[\r\n]/.test(raw.text));
  assert.deepEqual(JSON.parse(raw.text).args, args);
});

test("first in, first out; a higher priority goes first", async () => {
  const queue = unique("order");
  const order = [5, 1, 9, 5, 9, 1, 5];
  for (const [i, priority] of order.entries()) await wire.push({ queue, priority, args: [i] });
  const seen = [];
  for (let i = 0; i < order.length; i++) seen.push((await wire.fetch(queue)).args[0]);
  assert.deepEqual(seen, [2, 4, 0, 3, 6, 1, 5]);
});

test("a priority out of range counts as the default", async () => {
  const queue = unique("wrong-priority");
  for (const priority of [0, 10, "9", 5.5, null]) {
    await wire.push({ queue, priority });
    assert.equal((await wire.fetch(queue)).priority, 5);
  }
});

test("queues are tried in the order given", async () => {
  const [high, low] = [unique("high"), unique("low")];
  await wire.push({ queue: low, args: ["low"] });
  await wire.push({ queue: high, args: ["high"] });
  assert.deepEqual((await wire.fetch(high, low)).args, ["high"]);
  assert.deepEqual((await wire.fetch(high, low)).args, ["low"]);
});

test("FETCH without work is $-1 within 2 s, and a push to any of its queues wakes it", async () => {
  const [first, second] = [unique("wake-a"), unique("wake-b")];
  let begun = Date.now();
  assert.equal(await wire.fetch(first), null);
  const took = Date.now() - begun;
  assert.ok(took > 1500 && took < 2100, `${took} ms`);
  const producer = await takt.wire();
  begun = Date.now();
  const fetched = wire.fetch(first, second);
  await sleep(200);
  await producer.push({ queue: second });
  assert.ok(await fetched);
  assert.ok(Date.now() - begun < 600);
  await producer.close();
});

test("a job in the future waits for its time; one in the past does not", async () => {
  const queue = unique("later");
  const at = Date.now() + 700;
  await wire.push({ queue, at: new Date(at).toISOString(), args: ["later"] });
  await wire.push({ queue, at: "2001-01-01T00:00:00.123456789+01:00", args: ["past"] });
  assert.deepEqual((await wire.fetch(queue)).args, ["past"]);
  const back = await wire.fetch(queue);
  const now = Date.now();
  assert.deepEqual(back.args, ["later"]);
  assert.ok(now >= at - 5, `${at - now} ms early`);
  assert.ok(now - at < 500, `${now - at} ms late`);
  assert.equal(Date.parse(back.at), at);
});

test("an expired job never starts", async () => {
  const queue = unique("expired");
  const jid = newJid();
  await takt.api.post(`/v1/queues/${queue}/pause`);
  await wire.push({ queue, jid, custom: { expires_at: new Date(Date.now() + 300).toISOString() } });
  await sleep(400);
  await takt.api.post(`/v1/queues/${queue}/resume`);
  const worker = await takt.worker(unique("w"));
  assert.deepEqual(await worker.lease(queue, 1, 500), []);
  const job = await takt.api.reaches(jid, "cancelled", 5000);
  assert.equal(job.reason, "expired");
  await worker.close();
});

test("FAIL: retry_count, the error, 15 to 44 s to the first retry, `retries` in INFO", async () => {
  const queue = unique("failing");
  const jid = newJid();
  await wire.push({ queue, jid, retry: 2 });
  await wire.fetch(queue);
  const failed = Date.now();
  const backtrace = Array.from({ length: 60 }, (_, i) => `line ${i}`);
  const report = { jid, errtype: "E".repeat(150), message: "m".repeat(1200), backtrace };
  assert.equal(await wire.call("FAIL", report), "OK");
  const job = await takt.api.job(jid);
  assert.equal(job.state, "retrying");
  assert.equal(job.failures, 1);
  const wait = Date.parse(job.run_at) - failed;
  assert.ok(wait >= 14900 && wait <= 45000, `${wait} ms`);
  await wire.call("MUTATE", { cmd: "requeue", target: "retries", filter: { jids: [jid] } });
  const { failure } = await wire.fetch(queue);
  assert.equal(failure.retry_count, 0);
  assert.equal(failure.remaining, 1);
  assert.equal(failure.errtype, "E".repeat(100));
  assert.equal(failure.message.length, 1000);
  assert.equal(failure.backtrace.length, 50);
  assert.ok(Math.abs(Date.parse(failure.failed_at) - failed) < 2000);
});

test("FAIL with a jid alone; unknown jid; retry 0 discards, -1 is dead at once", async () => {
  const queue = unique("fail-kinds");
  const ends = {};
  for (const retry of [0, -1, 1]) {
    const jid = (ends[retry] = newJid());
    await wire.push({ queue, jid, retry });
    await wire.fetch(queue);
    assert.equal(await wire.call("FAIL", { jid }), "OK");
  }
  const [none, dead, retried] = await Promise.all([0, -1, 1].map((retry) => takt.api.job(ends[retry])));
  assert.deepEqual([none.state, none.reason], ["cancelled", "discarded"]);
  assert.equal(dead.state, "dead");
  assert.equal(retried.state, "retrying");
  assert.equal(retried.errors[0].type, "unknown");
  await assert.rejects(wire.call("FAIL", { jid: newJid() }), /^Error: ERR Job not found/);
});

test("PUSHB keeps the good ones and names the others", async () => {
  const queue = unique("bulk");
  const good = Array.from({ length: 5 }, () => ({ jid: newJid(), jobtype: "b", args: [], queue }));
  const jobs = [...good, { jid: "short", jobtype: "b", args: [] }, { jid: "no-args-here", jobtype: "b" }, { jobtype: "b", args: [] }];
  const refused = await wire.call("PUSHB", jobs);
  assert.deepEqual(Object.keys(refused).sort(), ["", "no-args-here", "short"]);
  assert.match(refused["no-args-here"], /jobs must have an args parameter/);
  for (let i = 0; i < 5; i++) assert.equal((await wire.fetch(queue)).jid, good[i].jid);
  assert.deepEqual(await wire.call("PUSHB", []), {});
});

test("a jid is live once, and new again when its job is finished", async () => {
  const queue = unique("twice");
  const jid = newJid();
  assert.equal(await wire.push({ queue, jid, args: [1] }), "OK");
  assert.equal(await wire.push({ queue, jid, args: [2] }), "OK");
  assert.deepEqual((await wire.fetch(queue)).args, [1]);
  assert.equal(await wire.fetch(queue), null, "no second job");
  await wire.call("ACK", { jid });
  assert.equal(await wire.push({ queue, jid, args: [3] }), "OK");
  assert.deepEqual((await wire.fetch(queue)).args, [3]);
  await wire.call("ACK", { jid });
  assert.deepEqual((await takt.api.job(jid)).args, [3], "the newest is shown");
});

test("MUTATE: kill, requeue, discard, clear, by jids and jobtype", async () => {
  const queue = unique("mutate");
  const at = new Date(Date.now() + 3600e3).toISOString();
  const jids = Array.from({ length: 6 }, newJid);
  for (const [i, jid] of jids.entries()) await wire.push({ queue, jid, at, jobtype: i < 3 ? "A" : "B" });
  await wire.call("MUTATE", { cmd: "requeue", target: "scheduled", filter: { jids: [jids[0]] } });
  assert.equal((await wire.fetch(queue)).jid, jids[0]);
  assert.equal((await wire.ask(`MUTATE {"cmd": "kill", "target": "scheduled", "filter": {"jobtype": "A"}}`)).text, "OK");
  assert.equal((await takt.api.job(jids[1])).state, "dead");
  assert.equal((await takt.api.job(jids[2])).state, "dead");
  assert.equal((await takt.api.job(jids[3])).state, "scheduled");
  await wire.call("MUTATE", { cmd: "requeue", target: "dead", filter: { jids: [jids[1]] } });
  assert.equal((await wire.fetch(queue)).jid, jids[1]);
  await wire.call("MUTATE", { cmd: "discard", target: "scheduled", filter: { jids: [jids[3]] } });
  assert.equal((await takt.api.job(jids[3])).state, "cancelled");
  await wire.call("MUTATE", { cmd: "clear", target: "scheduled", filter: { jids: ["ignored-by-clear"] } });
  assert.equal((await wire.call("INFO")).faktory.sets.scheduled, 0);
  for (const [text, message] of [
    ["MUTATE nonsense", /invalid format/],
    ['MUTATE {"cmd":"kill","target":"heaven"}', /invalid target for mutation command/],
    ['MUTATE {"cmd":"dance","target":"dead"}', /unknown mutate operation/],
  ]) {
    const reply = await wire.ask(text);
    assert.equal(reply.type, "-");
    assert.match(reply.text, message);
  }
});

test("TRACK SET and GET", async () => {
  const queue = unique("track");
  const jid = newJid();
  assert.equal((await wire.call("TRACK GET nobody-knows-it")).state, "unknown");
  await wire.push({ queue, jid, custom: { track: 1 } });
  assert.equal((await wire.call(`TRACK GET ${jid}`)).state, "enqueued");
  await wire.fetch(queue);
  assert.equal(await wire.call("TRACK SET", { jid, percent: 42, desc: "half" }), "OK");
  const seen = await wire.call(`TRACK GET ${jid}`);
  assert.deepEqual([seen.jid, seen.percent, seen.desc, seen.state], [jid, 42, "half", "working"]);
  assert.ok(Math.abs(Date.parse(seen.updated_at) - Date.now()) < 5000);
  await wire.call("ACK", { jid });
  assert.equal((await wire.call(`TRACK GET ${jid}`)).state, "success");
});

test("QUEUE PAUSE, RESUME, LATENCY, REMOVE", async () => {
  const queue = unique("operated");
  await wire.push({ queue });
  assert.equal(await wire.call(`QUEUE PAUSE ${queue}`), "OK");
  await wire.push({ queue });
  assert.equal(await wire.fetch(queue), null, "a paused queue hands nothing out");
  assert.equal(await wire.call(`QUEUE pause unknown-queue`), "OK");
  const latency = await wire.call(`QUEUE LATENCY ${queue} unknown-queue`);
  assert.ok(latency[queue] > 1.5 && latency[queue] < 30, `${latency[queue]} s`);
  assert.equal(latency["unknown-queue"], 0);
  assert.equal(await wire.call(`QUEUE resume ${queue}`), "OK");
  assert.ok(await wire.fetch(queue));
  assert.equal(await wire.call(`QUEUE REMOVE ${queue}`), "OK");
  assert.equal(await wire.fetch(queue), null);
  assert.match((await wire.ask("QUEUE LATENCY *")).text, /QUEUE LATENCY does not support wildcards/);
  assert.match((await wire.ask("QUEUE DANCE x")).text, /no such QUEUE subcommand: DANCE/);
});

test("INFO has every key that clients read, with the right types", async () => {
  const queue = unique("informed");
  await wire.push({ queue });
  await wire.push({ queue });
  const info = await wire.call("INFO");
  assert.ok(Math.abs(Date.parse(info.now) - Date.now()) < 5000);
  assert.match(info.server_utc_time, /^\d\d:\d\d:\d\d UTC$/);
  assert.equal(info.server_utc_time.slice(0, 8), info.now.slice(11, 19));
  const counts = (object, names) => {
    for (const name of names) assert.ok(Number.isInteger(object[name]) && object[name] >= 0, name);
  };
  counts(info.faktory.sets, ["scheduled", "retries", "dead", "working"]);
  counts(info.faktory, ["total_failures", "total_processed", "total_enqueued", "total_queues"]);
  counts(info.server, ["uptime", "connections", "command_count", "used_memory_mb"]);
  for (const name of ["Busy", "Dead", "Retries", "Scheduled", "Workers"]) counts(info.faktory.tasks[name], ["size"]);
  assert.equal(info.faktory.queues[queue], 2);
  assert.match(info.server.faktory_version, /^1\.(9|[1-9]\d)\.\d+$/);
  assert.ok(!/Enterprise/.test(info.server.description));
  assert.ok(info.server.connections >= 1);
});

test("FLUSH is refused unless the configuration allows it, and then erases", async () => {
  await wire.push({ queue: "kept" });
  assert.equal((await wire.ask("FLUSH")).type, "-");
  const loose = await Takt.start({ env: { TAKT_PROTOCOL_ALLOW_FLUSH: "1" } });
  try {
    const other = await loose.wire({ wid: "w1" });
    await other.push({ queue: "gone" });
    await other.push({ queue: "gone", at: new Date(Date.now() + 60000).toISOString() });
    assert.equal(await other.call("FLUSH"), "OK");
    const { faktory } = await other.call("INFO");
    assert.equal(faktory.sets.scheduled, 0);
    assert.equal(faktory.total_enqueued, 0);
    assert.equal(await other.fetch("gone"), null);
    await other.push({ queue: "gone", args: ["new"] });
    assert.deepEqual((await other.fetch("gone")).args, ["new"]);
  } finally {
    await loose.end();
  }
});

test("10,000 commands in one write are answered in order, the bad one alone with -ERR", async () => {
  const queue = unique("pipeline");
  const pipe = await takt.wire();
  const lines = Array.from({ length: 10000 }, (_, i) => {
    if (i === 5000) return "NONSENSE";
    if (i % 2 === 1) return `ACK {"jid":"no-such-job-${i}"}`;
    return `PUSH {"jid":"${newJid()}","jobtype":"p","args":[${i}],"queue":"${queue}"}`;
  });
  pipe.write(lines.join("\r\n") + "\r\n");
  for (let i = 0; i < lines.length; i++) {
    const reply = await pipe.reply();
    if (i === 5000) assert.deepEqual(reply, { type: "-", text: "ERR unknown command NONSENSE" });
    else assert.deepEqual(reply, { type: "+", text: "OK" }, lines[i]);
  }
  const worker = await takt.worker(unique("w"));
  let expected = 0;
  while (expected < 10000) {
    const jobs = await worker.lease(queue, 1000, 1000);
    assert.ok(jobs.length > 0, `nothing after ${expected}`);
    for (const job of jobs) {
      assert.equal(job.args[0], expected);
      expected += expected + 2 === 5000 ? 4 : 2;
    }
  }
  await Promise.all([pipe.close(), worker.close()]);
});

test("a line end may be a bare LF, and a command may come in any pieces", async () => {
  const queue = unique("pieces");
  const slow = await takt.wire();
  slow.write(`PUSH {"jid":"${newJid()}", "jobtype": "lf", "args": [ 1 ], "queue":"${queue}"}\n`);
  assert.equal((await slow.reply()).text, "OK");
  const line = `PUSH {"jid":"${newJid()}","jobtype":"ü","args":[],"queue":"${queue}"}\r\nINFO\r\n`;
  for (const byte of Buffer.from(line.replace("ü", "u"))) {
    slow.write(Buffer.from([byte]));
    await sleep(0);
  }
  assert.equal((await slow.reply()).text, "OK");
  assert.equal((await slow.reply()).type, "$");
  await slow.close();
});

test("END closes without a word", async () => {
  const other = await takt.wire();
  other.write("END\r\n");
  await until("closed", () => other.socket.readableEnded || other.closed, 2000);
  assert.deepEqual(other.replies, []);
  await other.close();
});
