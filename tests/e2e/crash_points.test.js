// Crash points: where they are built in they end the node where they say, elsewhere they are not there.
const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { Takt, binary, root } = require("./lib/takt");
const { run } = require("./lib/process");
const faults = path.join(__dirname, "..", "faults");
const { crashBinary, listPoints } = require(path.join(faults, "lib", "points"));

let crash;
before(() => (crash = crashBinary()));
after(() => Takt.endAll());

const serve = (program, at) => run(program, ["serve"], { env: { PATH: process.env.PATH, TAKT_CRASH_AT: at }, timeoutMs: 5000 });

test("the binary that users get has no trace of them, and ignores the variable", async () => {
  const bytes = fs.readFileSync(binary);
  const names = (await listPoints(crash)).map((point) => point.name);
  for (const text of ["TAKT_CRASH_AT", "crash_pass", ...names]) assert.ok(!bytes.includes(text), text);
  const takt = await Takt.start({ env: { TAKT_CRASH_AT: "http.read:1" } });
  assert.equal((await takt.api.get("/healthz")).status, 200);
  await takt.end();
});

test("every point has a name of its own, a time, a meaning, and its row in the documentation", async () => {
  const points = await listPoints(crash);
  const page = fs.readFileSync(path.join(root, "docs", "internals", "crash-points.md"), "utf8");
  for (const { name, when, meaning } of points) assert.ok(page.includes(`| \`${name}\` | ${when} | ${meaning} |`), name);
  assert.equal(new Set(points.map((point) => point.name)).size, points.length);
  for (const { name, when, meaning } of points) {
    assert.match(name, /^[a-z]+\.[a-z-]+$/);
    assert.match(when, /^(FRESH|START|LOAD|WIPE|STOP)$/);
    assert.ok(meaning.length > 10, name);
  }
});

for (const at of ["nowhere:1", "net.sent", "net.sent:0", "net.sent:-1", "net.sent:x", "net.sent:1:1", ":1", "net.sent:99999999999999999999"]) {
  test(`a start with ${at} is refused, with the list of points`, async () => {
    const end = await serve(crash, at);
    assert.equal(end.code, 2, end.stderr);
    assert.ok(end.stderr.includes(`TAKT_CRASH_AT=${at}: `), end.stderr);
    for (const { name } of await listPoints(crash)) assert.ok(end.stderr.includes(name), name);
  });
}

test("the node dies when it passes a point for the Nth time, not before", async () => {
  const takt = await Takt.start({ binary: crash });
  await takt.kill();
  takt.launch({ TAKT_CRASH_AT: "wire.push:3" });
  await takt.ready();
  const wire = await takt.wire();
  await wire.push({ queue: "q" });
  await wire.push({ queue: "q" });
  await assert.rejects(wire.push({ queue: "q" }), /closed/);
  assert.deepEqual(await takt.node.exited, { code: null, signal: "SIGKILL" });
  await takt.up();
  const jobs = (await takt.api.get("/v1/jobs?queue=q")).body.items;
  assert.equal(jobs.length, 2);
  await takt.end();
});

test("a death at each point under load: no acknowledged job is lost, none has two outcomes", async () => {
  const end = await run(process.execPath, [path.join(faults, "kill_node"), "--points"], { env: { ...process.env, TAKT_CRASH_BIN: crash }, timeoutMs: 300000 });
  assert.equal(end.code, 0, end.stdout.slice(-5000) + end.stderr);
  const [, visited, all] = /crash points: (\d+) of (\d+) visited/.exec(end.stdout);
  assert.equal(visited, all);
  assert.match(end.stdout, /0 lost, 0 without an outcome, 0 with two, 0 problems/);
});
