// What the built-in worker makes of a command: result, failure, log, arguments, environment, limits.
const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { Takt } = require("./lib/takt");
const { processesWith, temporaryDirectory } = require("./lib/process");
const { sleep, until, unique } = require("./lib/wait");

// A sleep of its own length can be found in the list of processes.
const lengths = Object.fromEntries(["timeout", "stubborn", "cancel", "grand"].map((name, i) => [name, `${3600 + i}.${process.pid}${Date.now() % 1000}`]));
const sh = (text, ...rest) => ({ exec: ["sh", "-c", text, "sh", ...rest] });
const types = {
  json: sh(`echo '{"sum": 12345678901234567890, "list": [1, null]}'`),
  last: sh("echo some words; echo '[1, 2]'"),
  words: sh("echo no json at all"),
  exit: sh("echo first >&2; echo last words >&2; exit 7"),
  killed: sh("kill -SEGV $$"),
  missing: { exec: ["/no/such/program"] },
  args: { exec: ["printf", "<%s>", "{args.a}", "x{args.b.c}y", "{args.n}", "{literal}"] },
  environment: { exec: ["env"], env: { MINE: "yes", LANG: "C" } },
  cwd: { exec: ["pwd"], cwd: "/usr" },
  timeout: { ...sh(`sleep ${lengths.timeout}`), timeout: "500ms" },
  stubborn: { ...sh(`trap '' TERM; sleep ${lengths.stubborn} & sleep ${lengths.stubborn}; sleep ${lengths.stubborn}`), timeout: "300ms" },
  cancel: sh(`sleep ${lengths.cancel} & sleep ${lengths.cancel}`),
  flood: sh("head -c 50000000 /dev/zero | tr '\\0' x; echo; echo the end"),
  daemon: sh(`setsid sh -c 'sleep ${lengths.grand} & exec sleep ${lengths.grand}' >/dev/null 2>&1 </dev/null & echo 1`),
  input: { exec: ["cat"] },
  progress: sh("echo '25 a quarter' >&3; sleep 1.5; echo 100 >&3"),
  "versioned@1": sh("echo 1"),
  "versioned@2": sh("echo 2"),
  fds: sh("ls /proc/self/fd | tr '\\n' ' '"),
};
let takt, api, worker, token;
const queue = unique("exec");
const secret = "do-not-tell-the-jobs";
before(async () => {
  takt = await Takt.start();
  api = takt.api;
  token = (await api.post("/v1/tokens", { roles: ["worker"] })).body.token;
  worker = takt.startWorker({ types, queues: [queue], concurrency: 8, env: { SOME_SECRET: secret, TAKT_TOKEN: token } });
  await until("the worker is there", async () => (await api.get("/v1/workers")).body.items.length > 0);
});
after(() => Takt.endAll());

/** Submits a job that is tried once, and gives it when it is finished. */
async function runs(type, more = {}, timeoutMs = 10000) {
  const { id } = await api.submit({ type, queue, retry: { max_attempts: 1 }, ...more });
  return api.reaches(id, ["succeeded", "dead", "cancelled"], timeoutMs);
}
const log = async (job) => (await api.get(`/v1/jobs/${job.id}/logs`)).text;

test("stdout that is JSON is the result, with all digits", async () => {
  const job = await runs("json");
  assert.equal(job.state, "succeeded", JSON.stringify(job.errors));
  const { text } = await api.get(`/v1/jobs/${job.id}`);
  assert.match(text, /12345678901234567890/);
  assert.deepEqual(job.result.list, [1, null]);
  assert.match(await log(job), /"sum"/);
});

test("words on stdout are kept in the log", async () => {
  const job = await runs("words");
  assert.equal(job.state, "succeeded");
  assert.equal(await log(job), "no json at all\n");
  assert.equal((await runs("last")).state, "succeeded");
});

test("an exit code fails the attempt, with the last words of stderr", async () => {
  const job = await runs("exit");
  const [error] = job.errors;
  assert.deepEqual([job.state, error.type], ["dead", "exit-code"]);
  assert.equal(error.message, "exit code 7: last words");
  assert.deepEqual(error.backtrace, ["first", "last words"]);
  assert.equal(error.meta.exit_code, 7);
  assert.equal(await log(job), "first\nlast words\n");
});

test("a signal, and a program that is not there, fail the attempt", async () => {
  const [killed, missing] = await Promise.all([runs("killed"), runs("missing")]);
  assert.equal(killed.errors[0].type, "signal");
  assert.match(killed.errors[0].message, /SEGV/);
  assert.match(missing.errors[0].type, /exec-failed: ENOENT/);
});

test("arguments come by template, each as one argument, never split or expanded", async () => {
  const args = { a: "two words; $(touch /tmp/x) `id` * \"q\" 'q'", b: { c: "-\n-" }, n: 1.5 };
  const job = await runs("args", { args });
  assert.equal(await log(job), `<${args.a}><x-\n-y><1.5><{literal}>`);
  const bad = await runs("args", { args: { a: 1 } });
  assert.deepEqual([bad.state, bad.errors[0].type], ["dead", "bad-template"]);
  assert.equal((await runs("args", { args: { a: "a\0b", b: { c: 1 }, n: 1 } })).errors[0].type, "bad-template");
});

test("the environment: what is documented, and nothing of the worker's", async () => {
  const job = await runs("environment", { correlation_id: "order-9" });
  const lines = (await log(job)).trim().split("\n");
  const environment = Object.fromEntries(lines.map((line) => line.split(/=(.*)/s)));
  assert.deepEqual([environment.MINE, environment.LANG, environment.TAKT_JOB_ID], ["yes", "C", job.id]);
  assert.deepEqual([environment.TAKT_ATTEMPT, environment.TAKT_QUEUE, environment.TAKT_JOB_TYPE], ["1", queue, "environment"]);
  assert.equal(environment.TAKT_FENCE, String(job.fence));
  assert.equal(environment.TAKT_CORRELATION_ID, "order-9");
  const text = lines.join("\n");
  assert.ok(!text.includes(secret) && !text.includes(token));
  const known = /^(PATH|HOME|USER|LOGNAME|LANG|MINE|TRACEPARENT|TAKT_(JOB_ID|JOB_TYPE|JOB_VERSION|QUEUE|ATTEMPT|FENCE|CORRELATION_ID|PROGRESS_FD))$/;
  for (const name of Object.keys(environment)) assert.match(name, known);
});

test("cwd, args on standard input, and no descriptors beyond the four", async () => {
  assert.equal(await log(await runs("cwd")), "/usr\n");
  assert.equal(await log(await runs("input", { args: { a: [1.0] } })), '{"a":[1]}');
  const open = (await log(await runs("fds"))).trim().split(" ").map(Number);
  assert.ok(open.every((fd) => fd <= 4), `${open}`);
});

test("versions have their own commands", async () => {
  assert.equal((await runs("versioned", { version: 1 })).result, 1);
  assert.equal((await runs("versioned", { version: 2 })).result, 2);
});

test("progress by the descriptor that is for it", async () => {
  const { id } = await api.submit({ type: "progress", queue });
  const job = await until("progress", async () => {
    const seen = await api.job(id);
    return seen.progress && seen;
  });
  assert.deepEqual([job.progress.percent, job.progress.message], [25, "a quarter"]);
  await api.reaches(id, "succeeded");
});

test("a type without a command fails in words", async () => {
  const job = await runs("unheard-of");
  assert.equal(job.state, "dead");
  assert.ok(job.errors[0].message.includes("unheard-of"), job.errors[0].message);
});

test("timeout: TERM ends it, the attempt fails with timeout", async () => {
  const begun = Date.now();
  const job = await runs("timeout");
  assert.deepEqual([job.state, job.errors[0].type], ["dead", "timeout"]);
  assert.ok(Date.now() - begun < 3000);
  assert.deepEqual(processesWith(lengths.timeout), []);
});

test("timeout: what ignores TERM is killed after the grace of 10 s, with all its children", async () => {
  const begun = Date.now();
  const job = await runs("stubborn", {}, 16000);
  const took = Date.now() - begun;
  assert.equal(job.errors[0].type, "timeout");
  assert.ok(took > 9000 && took < 13000, `${took} ms`);
  assert.deepEqual(processesWith(lengths.stubborn), []);
});

test("cancel reaches a running command within 1 s", async () => {
  const { id } = await api.submit({ type: "cancel", queue });
  await until("it runs", () => processesWith(`sleep ${lengths.cancel}`).length >= 2);
  const begun = Date.now();
  assert.equal((await api.post(`/v1/jobs/${id}/cancel`)).status, 202);
  await until("no process is left", () => processesWith(lengths.cancel).length === 0, 5000);
  assert.ok(Date.now() - begun < 1000, `${Date.now() - begun} ms`);
  await sleep(300);
  const job = await api.job(id);
  assert.deepEqual([job.state, job.attempt], ["cancelled", 1]);
});

test("a flood of output is bounded: the end of it is kept, memory is not", async () => {
  const job = await runs("flood", {}, 30000);
  assert.equal(job.state, "succeeded", JSON.stringify(job.errors));
  const text = await log(job);
  assert.ok(text.length <= 1100 * 1024, `${text.length}`);
  assert.match(text, /the end\n$/);
  const [, kb] = /VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${worker.pid}/status`, "utf8"));
  assert.ok(Number(kb) < 150 * 1024, `${kb} kB`);
});

test("a child that made itself a daemon is killed when the command ends", async () => {
  const job = await runs("daemon");
  assert.equal(job.state, "succeeded", JSON.stringify(job.errors));
  await until("no process is left", () => processesWith(lengths.grand).length === 0, 5000);
});

test("a wrong configuration stops a worker in words", async () => {
  const file = path.join(temporaryDirectory(), "worker.yaml");
  for (const [text, words] of [
    ["types: {t: {exec: []}}\n", /exec/],
    ["types: {t: {exec: [a], cwd: /no/such/folder}}\n", /no\/such\/folder/],
    ["types: {t: {exec: [a], tiemout: 5s}}\n", /timeout/],
  ]) {
    fs.writeFileSync(file, text);
    const end = await takt.cli(["worker", "--config", file, "--url", takt.wireUrl]);
    assert.equal(end.code, 3, text);
    assert.match(end.stderr, words);
  }
});
