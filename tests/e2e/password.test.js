// Logging in on the worker port: the password's challenge, what sessions may do, tokens.
const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const { Takt, binary, cleanEnvironment, freePorts } = require("./lib/takt");
const { run, temporaryDirectory } = require("./lib/process");
const { until } = require("./lib/wait");

const password = "correct horse";
let takt;
before(async () => (takt = await Takt.start({ env: { TAKT_PROTOCOL_PASSWORD: password } })));
after(() => Takt.endAll());

test("the greeting brings rounds and salt, in this order", async () => {
  const wire = await takt.wire(null);
  assert.match(wire.greeting, /^HI \{"v":2,"i":\d+,"s":"[1-9a-f][0-9a-f]{0,15}"\}$/);
  const { i } = JSON.parse(wire.greeting.slice(3));
  assert.ok(i >= 4000 && i <= 8095, `${i}`);
  const other = await takt.wire(null);
  assert.notEqual(other.greeting, wire.greeting);
  await Promise.all([wire.close(), other.close()]);
});

for (const hello of [{ v: 2 }, { v: 3 }, { v: 1 }, { v: undefined }]) {
  test(`the right password with v ${hello.v} is let in`, async () => {
    const wire = await takt.wire(hello, { password });
    assert.equal((await wire.ask("INFO")).type, "$");
    await wire.close();
  });
}

test("a client without v hashes once; with v 2 one round is not enough", async () => {
  const wire = await takt.wire(null);
  const once = wire.hash(password, 0);
  assert.deepEqual(await wire.ask(`HELLO {"pwdhash":"${once}"}`), { type: "+", text: "OK" });
  await wire.close();
  const strict = await takt.wire(null);
  const reply = await strict.ask(`HELLO {"v":2,"pwdhash":"${strict.hash(password, 0)}"}`);
  assert.deepEqual(reply, { type: "-", text: "ERR Invalid password" });
  await strict.close();
});

for (const [name, hello] of [
  ["a wrong password", (wire) => ({ v: 2, pwdhash: wire.hash("wrong", 2) })],
  ["no password", () => ({ v: 2 })],
  ["null", () => ({ v: 2, pwdhash: null })],
  ["an empty hash", () => ({ v: 2, pwdhash: "" })],
  ["the hash in upper case", (wire) => ({ v: 2, pwdhash: wire.hash(password, 2).toUpperCase() })],
]) {
  test(`${name}: -ERR Invalid password, and closed`, async () => {
    const wire = await takt.wire(null);
    const reply = await wire.ask(`HELLO ${JSON.stringify(hello(wire))}`);
    assert.deepEqual(reply, { type: "-", text: "ERR Invalid password" });
    await until("closed", () => wire.closed || wire.socket.readableEnded, 2000);
    await wire.close();
  });
}

test("wrong passwords are counted and never logged", async () => {
  assert.ok((await takt.api.metric("takt_auth_failures_total", { reason: "password" })) >= 5);
  assert.ok(!takt.log.includes(password));
});

test("the faktory-worker client logs in", async () => {
  const { Client } = require("faktory-worker");
  const client = new Client({ url: `tcp://:${encodeURIComponent(password)}@127.0.0.1:${takt.port}` });
  const jid = await client.job("greet", "x").push();
  assert.equal((await client.fetch("default")).jid, jid);
  await client.close();
});

test("a token instead of the password, with its own role", async () => {
  const mint = async (role) => {
    const { status, body } = await takt.api.post("/v1/tokens", { roles: [role] });
    assert.equal(status, 201);
    return body.token;
  };
  const worker = await takt.wire({ wid: "w1", takt: { token: await mint("worker") } });
  assert.deepEqual(await worker.lease("empty"), []);
  const refused = await worker.ask('PUSH {"jid":"12345678","jobtype":"x","args":[]}');
  assert.match(refused.text, /^ERR .*job:submit/);
  const producer = await takt.wire({ takt: { token: await mint("producer") } });
  assert.equal(await producer.push({ queue: "tokens" }), "OK");
  assert.match((await producer.ask("FETCH tokens")).text, /^ERR .*lease/);
  await assert.rejects(takt.wire({ takt: { token: "nonsense" } }), /HELLO: -ERR/);
  await Promise.all([worker.close(), producer.close()]);
});

test("protocol.roles limits what password sessions may do", async () => {
  const narrow = await Takt.start({ config: "protocol: {roles: [producer]}\n" });
  try {
    const wire = await narrow.wire({ wid: "w" });
    assert.equal(await wire.push({}), "OK");
    for (const line of ["FETCH default", 'ACK {"jid":"12345678"}', "QUEUE PAUSE default"]) {
      assert.match((await wire.ask(line)).text, /^ERR forbidden/, line);
    }
  } finally {
    await narrow.end();
  }
});

test("an address beyond loopback without a password stops the start", async () => {
  const [http, port] = await freePorts(2);
  const flags = ["--data", temporaryDirectory(), "--http", `127.0.0.1:${http}`, "--worker", `0.0.0.0:${port}`];
  const end = await run(binary, ["serve", ...flags], { env: cleanEnvironment() });
  assert.equal(end.code, 3, end.stderr);
  assert.match(end.stderr, /protocol\.password/);
});
