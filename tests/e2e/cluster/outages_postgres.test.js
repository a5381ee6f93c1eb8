// PostgreSQL away in every way: nothing is accepted meanwhile, what runs goes on, all is well again by itself.
const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const { Takt } = require("../lib/takt");
const { Api } = require("../lib/api");
const { Postgres } = require("../lib/servers");
const { newJid } = require("../lib/wire");
const { sleep, unique, until } = require("../lib/wait");

const AT_ONCE = 1000;
const BACK = 15000; // at most a second after the server answers; the machine may be loaded

let server, takt, url;
before(async () => {
  server = await Postgres.start();
  // an ordinary role, whose database it is
  server.sql("CREATE ROLE takt LOGIN");
  server.sql("CREATE DATABASE takt OWNER takt");
  url = server.url.replace(/\/\/postgres@(.*)\/postgres$/, "//takt@$1/takt");
  takt = await Takt.start({ store: url, broker: null });
});
after(() => Takt.endAll());

const submit = (job, api = takt.api) => api.post("/v1/jobs", { type: "t", ...job });

/** Sends until it is refused for the store's sake; gives the refusal and how long its answer took. */
async function refused(timeoutMs = 8000) {
  return until("a submit is refused", async () => {
    const begun = Date.now();
    const answer = await submit({ queue: unique("refused") });
    return answer.status !== 201 && { answer, took: Date.now() - begun };
  }, timeoutMs);
}

function assertRefusal(answer) {
  assert.equal(answer.status, 503, answer.text);
  assert.match(answer.body.code, /^store-/);
  assert.ok(Number(answer.headers.get("retry-after")) >= 1, "Retry-After is there");
}

/** From here on every answer is a refusal at once; `alive` and metrics are answered nevertheless. */
async function assertAway() {
  assertRefusal((await refused()).answer);
  for (let i = 0; i < 5; i++) {
    const begun = Date.now();
    assertRefusal(await submit({ queue: unique("refused") }));
    assert.ok(Date.now() - begun < AT_ONCE, `${Date.now() - begun} ms`);
  }
  assert.equal((await takt.api.get("/healthz")).status, 200);
  const ready = await takt.api.get("/readyz");
  assert.deepEqual([ready.status, ready.body.store], [503, "down"]);
}

/** Ready again, for what is written and what is read. */
async function back() {
  const answers = async (path) => (await takt.api.get(path)).status === 200;
  await until("it is ready again", () => answers("/readyz"), BACK);
  await until("it reads again", () => answers("/v1/queues"), AT_ONCE);
}

/** A worker whose command ends while `outage` lasts, at a first try of its outcome that can't be stored. */
async function assertRunsOn(outage) {
  const queue = unique("runs-on");
  const worker = takt.startWorker({ types: { nap: { exec: ["sleep", "1.5"] } }, queues: [queue] });
  const { id } = await takt.api.submit({ type: "nap", queue });
  await takt.api.reaches(id, "running");
  await outage();
  await back();
  const job = await takt.api.reaches(id, "succeeded", BACK);
  assert.deepEqual([job.attempt, job.lost, job.failures], [1, 0, 0]);
  worker.kill("SIGTERM");
  assert.equal((await worker.exited).code, 0);
}

for (const mode of ["fast", "immediate"]) {
  test(`stopped (${mode}) and started: refusals at once, the running job's outcome counts`, async () => {
    const kept = await takt.api.submit({ type: "t", queue: unique("kept"), delay: "1h" });
    await assertRunsOn(async () => {
      await server.stop(mode);
      await assertAway();
      await sleep(2500); // the command has ended meanwhile
      await server.up();
    });
    assert.equal((await takt.api.job(kept.id)).state, "scheduled");
  });
}

test("stopped by SIGSTOP: given up after 5 s, then refusals at once; nothing was stored twice", async () => {
  const [queue, id] = [unique("frozen"), unique("id")];
  await assertRunsOn(async () => {
    server.freeze();
    try {
      const first = await submit({ queue, id });
      assertRefusal(first);
      await assertAway();
    } finally {
      server.thaw();
    }
  });
  const again = await submit({ queue, id });
  assert.ok([200, 201].includes(again.status), again.text);
  const { items } = (await takt.api.get(`/v1/jobs?queue=${queue}`)).body;
  assert.deepEqual(items.map((item) => item.id), [id]);
});

test("an outage ends no lease: the worker beats on, and its job is not handed out again", async () => {
  const queue = unique("lease");
  const holder = await takt.worker(unique("w"));
  const { id } = await takt.api.submit({ type: "t", queue });
  const [{ fence }] = await holder.lease(queue, 1, 5000);
  await server.stop("fast");
  await assertAway();
  await sleep(3000);
  await server.up();
  await back();
  const other = await takt.worker(unique("w"));
  assert.deepEqual(await other.lease(queue, 1, 7000), []);
  assert.deepEqual(await holder.call("TDONE", [{ jid: id, fence, result: 1 }]), { [id]: "OK" });
  assert.equal((await takt.api.job(id)).state, "succeeded");
  await Promise.all([holder.close(), other.close()]);
});

test("an outcome that could not be stored is refused, and counts when it is sent again", async () => {
  const queue = unique("outcome");
  const worker = await takt.worker(unique("w"));
  const { id } = await takt.api.submit({ type: "t", queue });
  const [{ fence }] = await worker.lease(queue, 1, 5000);
  await server.stop("immediate");
  await assertAway();
  const said = await worker.call("TDONE", [{ jid: id, fence }]).catch((error) => ({ [id]: error.message }));
  assert.ok(!["OK", "STALE"].includes(said[id]), said[id]);
  await server.up();
  await back();
  assert.deepEqual(await worker.call("TDONE", [{ jid: id, fence }]), { [id]: "OK" });
  assert.deepEqual(await worker.call("TDONE", [{ jid: id, fence }]), { [id]: "OK" });
  await worker.close();
});

test("a node that is started before PostgreSQL waits for it, and says so", async () => {
  await server.stop("fast");
  const early = await Takt.make({ store: url, broker: null });
  early.launch();
  const ready = await until("it answers", () => fetch(`${early.url}/readyz`).catch(() => null));
  assert.equal(ready.status, 503);
  assertRefusal(await submit({}, new Api(early.url, takt.token)));
  await until("the log says why", () => /"store\.down".*refused/.test(early.log));
  await server.up();
  await early.ready();
  assert.equal((await submit({}, early.api)).status, 201);
  await early.stop();
  await back();
});

/** Submits with the same id until it is taken, as a client should. */
async function insist(queue) {
  const id = newJid();
  await until("it is taken", async () => {
    const answer = await submit({ id, queue });
    if (![200, 201].includes(answer.status)) assertRefusal(answer);
    return answer.status < 300;
  }, 20000);
  return id;
}

test("forced serialization failures and deadlocks: tried again, each job once", async () => {
  const raise = (state) => `IF random() < 0.2 THEN RAISE EXCEPTION 'forced' USING ERRCODE = '${state}'; END IF; RETURN NULL;`;
  const trigger = (name, state, when) => server.sql(
    `CREATE FUNCTION takt.${name}() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN ${raise(state)} END $f$;` +
    `CREATE CONSTRAINT TRIGGER ${name} AFTER INSERT OR UPDATE OR DELETE ON takt.live ${when} FOR EACH ROW EXECUTE FUNCTION takt.${name}()`,
    url,
  );
  trigger("forced_conflict", "40001", "DEFERRABLE INITIALLY IMMEDIATE");
  trigger("forced_deadlock", "40P01", "DEFERRABLE INITIALLY DEFERRED"); // at the commit
  const queue = unique("forced");
  try {
    const ids = await Promise.all(Array.from({ length: 20 }, () => insist(queue)));
    const worker = await takt.worker(unique("w"));
    const done = new Map();
    await until("all have run", async () => {
      const jobs = await worker.lease(queue, 5, 500).catch(() => []);
      for (const { jid, fence, attempt } of jobs) {
        assert.equal(attempt, 1);
        assert.ok(!done.has(jid), "handed out once");
        await until("its outcome is taken", async () => {
          const said = await worker.call("TDONE", [{ jid, fence }]).catch(() => ({}));
          assert.notEqual(said[jid], "STALE");
          return said[jid] === "OK";
        }, 20000);
        done.set(jid, fence);
      }
      return done.size === ids.length;
    }, 60000);
    assert.deepEqual([...done.keys()].sort(), ids.sort());
    await worker.close();
  } finally {
    server.sql("DROP FUNCTION takt.forced_conflict, takt.forced_deadlock CASCADE", url);
  }
  assert.equal((await takt.api.get(`/v1/queues/${queue}`)).body.counts.succeeded, 20);
});

const hangUp = () => server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'takt'");

test("too many connections: not ready, with the reason in the log; then it comes back", async () => {
  server.sql("ALTER ROLE takt CONNECTION LIMIT 0");
  hangUp();
  try {
    await assertAway();
    await until("the log says why", () => /too many connections/.test(takt.log));
  } finally {
    server.sql("ALTER ROLE takt CONNECTION LIMIT -1");
  }
  await back();
  await takt.api.submit({ type: "t", queue: unique("after") });
});

test("read-only: not ready, with the reason in the log; then it comes back", async () => {
  const readOnly = (value) => {
    server.sql(`ALTER SYSTEM SET default_transaction_read_only = ${value}`);
    server.sql("SELECT pg_reload_conf()");
  };
  readOnly("on");
  try {
    await assertAway();
    await until("the log says why", () => /read-only/.test(takt.log));
  } finally {
    readOnly("off");
  }
  await back();
  await takt.api.submit({ type: "t", queue: unique("after") });
});

test("restarted under load: whoever sends again loses nothing, and each job has one outcome", async () => {
  const queue = unique("load");
  const worker = takt.startWorker({ types: { t: { exec: ["true"] } }, queues: [queue] });
  const ids = [];
  let running = true;
  const clients = Array.from({ length: 4 }, async () => {
    while (running) ids.push(await insist(queue));
  });
  for (const mode of ["immediate", "fast"]) {
    await sleep(500);
    await server.stop(mode);
    await refused();
    await server.up();
    await back();
  }
  running = false;
  await Promise.all(clients);
  const counts = async () => (await takt.api.get(`/v1/queues/${queue}`)).body.counts;
  await until("all have ended", async () => (await counts()).succeeded === ids.length, 60000);
  for (const id of ids.slice(0, 20)) {
    const job = await takt.api.job(id);
    assert.deepEqual([job.state, job.attempt], ["succeeded", 1]);
  }
  worker.kill("SIGTERM");
  await worker.exited;
});
