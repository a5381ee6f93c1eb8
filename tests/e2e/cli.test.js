// The command line against a real node: output, JSON, exit codes.
const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { Takt, binary, cleanEnvironment, freePorts } = require("./lib/takt");
const { run, temporaryDirectory } = require("./lib/process");
const { until, unique } = require("./lib/wait");

let takt, queue;
before(async () => {
  takt = await Takt.start();
  queue = unique("cli");
  const types = {
    good: { exec: ["sh", "-c", "echo '{\"n\": 1}'"] },
    bad: { exec: ["sh", "-c", "echo 'no luck' >&2; exit 3"] },
    slow: { exec: ["sleep", "30"] },
    count: { exec: ["wc", "-c", "{args.path}"] },
  };
  takt.startWorker({ types, queues: [queue] });
});
after(() => Takt.endAll());

/** Runs a command that must succeed; its stdout. */
async function ok(...args) {
  const end = await takt.cli(args);
  assert.equal(end.code, 0, `${args.join(" ")}: ${end.stderr}`);
  return end.stdout.trim();
}

test("job submit prints the id; --wait ends with the job's outcome", async () => {
  assert.match(await ok("job", "submit", "good", "--queue", queue), /^[0-9a-f-]{36}$/);
  assert.deepEqual(JSON.parse(await ok("job", "submit", "good", "--queue", queue, "--wait")), { n: 1 });
  const bad = await takt.cli(["job", "submit", "bad", "--queue", queue, "--max-attempts", "1", "--wait"]);
  assert.equal(bad.code, 1);
  assert.match(bad.stderr, /is dead .*exit code 3: no luck/);
});

test("--wait of a job that is cancelled ends with 1", async () => {
  const id = unique("slow");
  const waiting = takt.cli(["job", "submit", "slow", "--queue", queue, "--id", id, "--wait"]);
  await until("it runs", async () => (await takt.api.get(`/v1/jobs/${id}`)).body.state === "running");
  await ok("job", "cancel", id);
  assert.equal((await waiting).code, 1);
});

test("args as JSON, from a file, from standard input; all the other flags", async () => {
  const file = path.join(temporaryDirectory(), "args.json");
  fs.writeFileSync(file, '{"from": "file"}');
  const submit = async (args, input) => {
    const end = await takt.cli(["job", "submit", "t", "--queue", unique("q"), ...args], { input });
    assert.equal(end.code, 0, end.stderr);
    return takt.api.job(end.stdout.trim());
  };
  assert.deepEqual((await submit(["--args", "[1, 2]"])).args, [1, 2]);
  assert.deepEqual((await submit(["--args", `@${file}`])).args, { from: "file" });
  assert.deepEqual((await submit(["--args", "-"], "[3]")).args, [3]);
  const flags = ["--priority", "9", "--delay", "1h", "--tag", "a", "--tag", "b", "--timeout", "10s"];
  const job = await submit(flags);
  assert.deepEqual([job.priority, job.state, job.tags, job.timeout], [9, "scheduled", ["a", "b"], "10s"]);
});

test("tables for people, -o json for programs", async () => {
  const id = await ok("job", "submit", "good", "--queue", queue, "--wait", "-o", "json").then((text) => JSON.parse(text).id);
  const list = JSON.parse(await ok("job", "list", "--queue", queue, "-o", "json"));
  assert.ok(list.items.some((job) => job.id === id) && "next" in list);
  assert.ok((await ok("job", "list", "--queue", queue)).includes(id));
  assert.equal(JSON.parse(await ok("job", "get", id, "-o", "json")).state, "succeeded");
  assert.match(await ok("job", "get", id), /succeeded/);
  assert.match(await ok("job", "logs", id), /"n": 1/);
  for (const args of [["queue", "list"], ["workers", "list"], ["nodes"], ["dead", "list"]]) {
    assert.ok(Array.isArray(JSON.parse(await ok(...args, "-o", "json")).items), args.join(" "));
    assert.ok((await ok(...args)).length > 0);
  }
});

test("job retry, dead retry and discard, queue pause and resume", async () => {
  const { id } = await takt.api.submit({ type: "bad", queue, retry: { max_attempts: 1 } });
  await takt.api.reaches(id, "dead");
  await ok("job", "retry", id);
  await takt.api.reaches(id, "dead");
  assert.equal((await takt.api.job(id)).run, 2);
  await ok("dead", "retry", id);
  await until("again", async () => (await takt.api.job(id)).run === 3);
  await takt.api.reaches(id, "dead");
  assert.equal((await takt.cli(["dead", "discard"])).code, 2, "not everything by accident");
  await ok("dead", "discard", id);
  assert.equal((await takt.cli(["job", "get", id])).code, 5);
  const other = unique("paused");
  await ok("queue", "pause", other);
  assert.equal((await takt.api.get(`/v1/queues/${other}`)).body.paused, true);
  await ok("queue", "resume", other);
});

test("exit codes: 2 usage, 4 not allowed, 5 not found, 6 conflict, 7 unreachable", async () => {
  const usage = [
    [], ["nonsense"], ["job"], ["job", "dance"], ["job", "submit"], ["job", "submit", "t", "--colour", "red"],
    ["job", "submit", "t", "--priority", "10"], ["job", "submit", "t", "--args", "{"], ["job", "get"],
    ["job", "submit", "t", "--delay", "soon"], ["serve", "--wrong"], ["token", "create"], ["token", "create", "--role", "king"],
    ["job", "list", "-o", "xml"],
  ];
  for (const args of usage) {
    const end = await takt.cli(args);
    assert.equal(end.code, 2, `takt ${args.join(" ")}: ${end.code} ${end.stderr}`);
    assert.ok(end.stderr.length > 0 || args.length === 0);
  }
  const { token } = (await takt.api.post("/v1/tokens", { roles: ["viewer"] })).body;
  const as = (value) => ({ env: { TAKT_TOKEN: value } });
  assert.equal((await takt.cli(["job", "submit", "t"], as(token))).code, 4);
  assert.equal((await takt.cli(["job", "list"], as("nonsense"))).code, 4);
  assert.equal((await takt.cli(["job", "get", unique("nobody")])).code, 5);
  const done = JSON.parse(await ok("job", "submit", "good", "--queue", queue, "--wait", "-o", "json"));
  assert.equal((await takt.cli(["job", "cancel", done.id])).code, 6);
  const [port] = await freePorts(1);
  const away = await takt.cli(["job", "list", "--server", `http://127.0.0.1:${port}`]);
  assert.equal(away.code, 7);
  assert.match(away.stderr, new RegExp(`${port}`));
  assert.equal((await takt.cli(["job", "list", "--server", takt.wireUrl.replace("tcp", "http")])).code, 7, "not a Takt server");
});

test("help and version", async () => {
  for (const args of [["--help"], ["job", "--help"], ["job", "submit", "--help"], ["version"], ["--version"]]) {
    assert.ok((await ok(...args)).length > 0, args.join(" "));
  }
  const listed = await ok("--help");
  for (const noun of ["serve", "worker", "job", "queue", "token", "config"]) assert.ok(listed.includes(noun), noun);
});

test("config check: fine, and every mistake with file, line and key", async () => {
  const directory = temporaryDirectory();
  const file = (name, text) => {
    fs.writeFileSync(path.join(directory, name), text);
    return path.join(directory, name);
  };
  const good = file("good.yaml", "http: {listen: 127.0.0.1:7420}\ntypes:\n  t: {exec: [echo, hi], timeout: 5s}\n");
  await ok("config", "check", good);
  const bad = file("bad.yaml", "http:\n  listn: 127.0.0.1:1\nlog:\n  level: loud\nretention: {finished: soon}\n");
  const end = await takt.cli(["config", "check", bad]);
  assert.equal(end.code, 3);
  assert.match(end.stderr, /bad\.yaml:2:.*listn.*listen/);
  assert.match(end.stderr, /bad\.yaml:4:.*log\.level/);
  assert.match(end.stderr, /bad\.yaml:5:.*retention\.finished/);
  const serve = await run(binary, ["serve", "--config", bad, "--data", directory], { env: cleanEnvironment() });
  assert.equal(serve.code, 3);
  assert.equal((await takt.cli(["config", "check", path.join(directory, "none.yaml")])).code, 3);
});

test("config show hides secrets", async () => {
  const end = await takt.cli(["config", "show"], { env: { TAKT_PROTOCOL_PASSWORD: "hush-hush" } });
  assert.equal(end.code, 0, end.stderr);
  assert.ok(!end.stdout.includes("hush-hush") && end.stdout.includes("***"));
});

test("token create: by the server, offline by the data directory; token revoke", async () => {
  const token = await ok("token", "create", "--role", "viewer", "--ttl", "1h", "--subject", "ci");
  const me = (await takt.api.as(token).get("/v1/auth/me")).body;
  assert.deepEqual([me.subject, me.roles], ["ci", ["viewer"]]);
  const offline = await run(binary, ["token", "create", "--role", "producer", "--queues", "a,b.*", "--data", takt.data], { env: cleanEnvironment() });
  assert.equal(offline.code, 0, offline.stderr);
  assert.deepEqual((await takt.api.as(offline.stdout.trim()).get("/v1/auth/me")).body.queues, ["a", "b.*"]);
  const made = JSON.parse(await ok("token", "create", "--role", "viewer", "-o", "json"));
  await ok("token", "revoke", made.id);
  assert.equal((await takt.api.as(made.token).get("/v1/jobs")).status, 401);
});

test("the admin token is found in ./takt-data", async () => {
  const cwd = path.dirname(takt.data);
  fs.symlinkSync(takt.data, path.join(cwd, "takt-data"));
  const end = await run(binary, ["job", "list", "--server", takt.url], { cwd, env: cleanEnvironment() });
  assert.equal(end.code, 0, end.stderr);
});
