// The worker port and malformed input: everything is answered as documented, or closed; the node lives on.
const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const { Takt } = require("./lib/takt");
const { newJid } = require("./lib/wire");
const { sleep, until, unique } = require("./lib/wait");

let takt;
before(async () => (takt = await Takt.start()));
after(() => Takt.endAll());

/** Sends bytes as the first thing, and gives all that came back after the greeting, once closed. */
async function firstBytes(bytes, pieces = 1) {
  const wire = await takt.wire(null);
  const all = Buffer.from(bytes);
  const size = Math.ceil(all.length / pieces) || 1;
  for (let at = 0; at < all.length; at += size) {
    wire.write(all.subarray(at, at + size));
    if (pieces > 1) await sleep(2);
  }
  await until("closed", () => wire.closed || wire.socket.readableEnded, 4000);
  const said = wire.replies;
  await wire.close();
  return said;
}

const stranger = [
  ["an HTTP request", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["a TLS hello", Buffer.from("16030100c6010000c20303", "hex").toString("latin1") + "x".repeat(200) + "\n"],
  ["random bytes", crypto.randomBytes(500).toString("latin1") + "\n"],
  ["HELLO with two spaces", 'HELLO  {"v":2}\r\n'],
  ["hello in lower case", 'hello {"v":2}\r\n'],
  ["HELLO with an array", "HELLO []\r\n"],
  ["HELLO without an argument", "HELLO\r\n"],
  ["a pid that is text", 'HELLO {"v":2,"pid":"1"}\r\n'],
  ["labels that are no strings", 'HELLO {"v":2,"labels":[1]}\r\n'],
  ["broken JSON", 'HELLO {"v":2\r\n'],
  ["a verb before HELLO", "INFO\r\n"],
  ["PUSH before HELLO", 'PUSH {"jid":"12345678","jobtype":"x","args":[]}\r\n'],
  ["an empty line", "\r\n"],
];
for (const [name, bytes] of stranger) {
  test(`instead of HELLO, ${name}: closed without a reply`, async () => {
    assert.deepEqual(await firstBytes(bytes), []);
    assert.deepEqual(await firstBytes(bytes, 5), []);
  });
}

const welcome = [
  ["nulls", '{"v":2,"wid":null,"pwdhash":null,"labels":null,"pid":null,"hostname":null,"username":null}'],
  ["an empty object", "{}"],
  ["another version", '{"v":99}'],
  ["unknown members", '{"v":2,"new":{"a":[1]},"more":null}'],
  ["spaces in the JSON", '{ "v" : 2 , "hostname" : "x" }'],
];
for (const [name, hello] of welcome) {
  test(`HELLO with ${name} is welcome`, async () => {
    const wire = await takt.wire(null);
    assert.deepEqual(await wire.ask(`HELLO ${hello}`), { type: "+", text: "OK" });
    await wire.close();
  });
}

test("a handshake that is not done in 2 s is closed, with or without its beginning", async () => {
  for (const beginning of ["", "HEL", 'HELLO {"v":']) {
    const begun = Date.now();
    assert.deepEqual(await firstBytes(beginning), []);
    const took = Date.now() - begun;
    assert.ok(took > 1800 && took < 3000, `${took} ms`);
  }
});

const id = newJid();
const refused = [
  ["an unknown verb", "DANCE now", /^ERR unknown command DANCE$/],
  ["a verb in lower case", "info", /^ERR unknown command info$/],
  ["an empty line", "", /^ERR unknown command $/],
  ["NUL bytes", "IN\0FO", /^ERR unknown command/],
  ["a second HELLO", 'HELLO {"v":2}', /^ERR /],
  ["PUSH without its argument", "PUSH", /^ERR /],
  ["ACK without its argument", "ACK", /^ERR /],
  ["FAIL without its argument", "FAIL", /^ERR /],
  ["BEAT without its argument", "BEAT", /^ERR /],
  ["PUSHB without its argument", "PUSHB", /^ERR /],
  ["MUTATE without its argument", "MUTATE", /^ERR /],
  ["TRACK without its argument", "TRACK", /^ERR /],
  ["QUEUE without its argument", "QUEUE", /^ERR /],
  ["FETCH without a queue", "FETCH", /^ERR must call fetch with at least one queue/],
  ["broken JSON", 'PUSH {"jid":', /^ERR invalid JSON/],
  ["JSON and more", `PUSH {"jid":"${id}","jobtype":"x","args":[]} {}`, /^ERR invalid JSON/],
  ["a jid of 7 bytes", 'PUSH {"jid":"1234567","jobtype":"x","args":[]}', /^ERR jobs must have a reasonable jid parameter$/],
  ["no jid", 'PUSH {"jobtype":"x","args":[]}', /^ERR jobs must have a reasonable jid parameter$/],
  ["a jid of 65 bytes", `PUSH {"jid":"${"j".repeat(65)}","jobtype":"x","args":[]}`, /^ERR jobs must have a reasonable jid parameter$/],
  ["a reserved jid", 'PUSH {"jid":"takt.12345","jobtype":"x","args":[]}', /^ERR /],
  ["a reserved queue", `PUSH {"jid":"${id}","jobtype":"x","args":[],"queue":"takt.notify"}`, /^ERR /],
  ["a reserved type", `PUSH {"jid":"${id}","jobtype":"takt.x","args":[]}`, /^ERR /],
  ["no jobtype", `PUSH {"jid":"${id}","args":[]}`, /^ERR jobs must have a jobtype parameter$/],
  ["no args", `PUSH {"jid":"${id}","jobtype":"x"}`, /^ERR jobs must have an args parameter$/],
  ["args that are an object", `PUSH {"jid":"${id}","jobtype":"x","args":{}}`, /^ERR invalid JSON/],
  ["reserve_for of 86401", `PUSH {"jid":"${id}","jobtype":"x","args":[],"reserve_for":86401}`, /^ERR jobs cannot be reserved for more than one day$/],
  ["reserve_for as text", `PUSH {"jid":"${id}","jobtype":"x","args":[],"reserve_for":"60"}`, /^ERR invalid JSON/],
  ["at tomorrow", `PUSH {"jid":"${id}","jobtype":"x","args":[],"at":"tomorrow"}`, /^ERR invalid timestamp for 'at'/],
  ["a queue with a slash", `PUSH {"jid":"${id}","jobtype":"x","args":[],"queue":"a/b"}`, /^ERR cannot get "a\/b" queue/],
  ["nesting of 65", `PUSH {"jid":"${id}","jobtype":"x","args":${"[".repeat(65)}${"]".repeat(65)}}`, /^ERR invalid JSON/],
  ["a duplicate key", `PUSH {"jid":"${id}","jid":"${id}2","jobtype":"x","args":[]}`, /^ERR invalid JSON/],
  ["args over the limit", `PUSH {"jid":"${id}","jobtype":"x","args":["${"x".repeat(1 << 20)}"]}`, /^ERR /],
  ["ACK with a number", 'ACK {"jid":12345678}', /^ERR invalid ACK/],
  ["ACK without a jid", "ACK {}", /^ERR missing JID/],
  ["ACK with an array", 'ACK ["12345678"]', /^ERR invalid ACK/],
  ["FAIL with an array", "FAIL []", /^ERR invalid FAIL/],
  ["BEAT with an array", "BEAT []", /^ERR invalid BEAT/],
  ["PUSHB of an object", "PUSHB {}", /^ERR invalid JSON/],
  ["TFETCH n of 0", 'TFETCH {"queues":["a"],"n":0}', /^ERR .*\bn must be 1 to 1000/],
  ["TFETCH n of -1", 'TFETCH {"queues":["a"],"n":-1}', /^ERR .*\bn must be 1 to 1000/],
  ["TFETCH n of 2^31", 'TFETCH {"queues":["a"],"n":2147483648}', /^ERR .*\bn must be 1 to 1000/],
  ["TFETCH wait_ms of -1", 'TFETCH {"queues":["a"],"n":1,"wait_ms":-1}', /^ERR .*wait_ms/],
  ["TFETCH wait_ms of 60001", 'TFETCH {"queues":["a"],"n":1,"wait_ms":60001}', /^ERR .*wait_ms/],
  ["TFETCH without queues", 'TFETCH {"queues":[],"n":1}', /^ERR must call fetch with at least one queue/],
  ["TDONE of an object", "TDONE {}", /^ERR invalid TDONE/],
  ["TDONE of numbers", "TDONE [1]", /^ERR invalid TDONE/],
  ["a BEAT for nobody", 'BEAT {"wid":"nobody-at-all"}', /^ERR Unknown worker nobody-at-all$/],
  ["a million queues in FETCH", `FETCH ${"q ".repeat(1000000)}`, /^ERR /],
];
test("refused with the protocol's words, and the connection stays usable", async (t) => {
  const wire = await takt.worker(unique("w"));
  for (const [name, line, expected] of refused) {
    await t.test(name, async () => {
      const reply = await wire.ask(line);
      assert.equal(reply.type, "-", `${reply.type}${reply.text?.slice(0, 200)}`);
      assert.match(reply.text, expected);
    });
  }
  assert.equal((await wire.ask("INFO")).type, "$");
  await wire.close();
});

test("the error names no more of the input than it must, on one line", async () => {
  const wire = await takt.wire();
  const reply = await wire.ask("X".repeat(100000));
  assert.equal(reply.type, "-");
  assert.ok(reply.text.length < 300);
  await wire.close();
});

test("nulls count as absent in PUSH", async () => {
  const wire = await takt.wire();
  const queue = unique("nulls");
  const nulls = '"at":null,"reserve_for":null,"retry":null,"custom":null,"backtrace":null,"failure":null,"created_at":null';
  assert.equal((await wire.ask(`PUSH {"jid":"${newJid()}","jobtype":"x","args":[],"queue":"${queue}",${nulls}}`)).text, "OK");
  const job = await wire.fetch(queue);
  assert.deepEqual([job.retry, job.reserve_for], [25, 1800]);
  await wire.close();
});

test("args of nearly 1 MiB go through in odd pieces", async () => {
  const wire = await takt.wire();
  const queue = unique("large");
  const text = crypto.randomBytes(500 * 1024).toString("hex");
  const line = Buffer.from(`PUSH {"jid":"${newJid()}","jobtype":"x","args":["${text}"],"queue":"${queue}"}\r\n`);
  for (let at = 0, size = 1; at < line.length; at += size, size = (size * 3 + 1) % 70001) {
    wire.write(line.subarray(at, at + Math.max(size, 1)));
    if (size === 0) size = 1;
  }
  assert.equal((await wire.reply()).text, "OK");
  assert.equal((await wire.fetch(queue)).args[0], text);
  await wire.close();
});

test("a line beyond 16 MiB: -ERR line too long, and closed; commands before it are answered", async () => {
  const wire = await takt.wire();
  wire.write(`PUSH {"jid":"${newJid()}","jobtype":"x","args":[]}\r\n`);
  const blanks = Buffer.alloc(1 << 20, " ");
  for (let i = 0; i < 18 && !wire.closed; i++) {
    wire.write(blanks);
    await sleep(1);
  }
  assert.equal((await wire.reply()).text, "OK");
  assert.deepEqual(await wire.reply(), { type: "-", text: "ERR line too long" });
  await until("closed", () => wire.closed || wire.socket.readableEnded, 5000);
  await wire.close();
});

test("a half-closed client gets its answers, then the end", async () => {
  const wire = await takt.wire();
  wire.write(`PUSH {"jid":"${newJid()}","jobtype":"x","args":[]}\r\nINFO\r\n`);
  wire.socket.end();
  assert.equal((await wire.reply()).text, "OK");
  assert.equal((await wire.reply()).type, "$");
  await until("closed", () => wire.closed || wire.socket.readableEnded, 3000);
});

test("a client that never reads is held back, and others are served", async () => {
  const deaf = await takt.wire();
  deaf.socket.pause();
  const info = "INFO\r\n".repeat(20000);
  for (let i = 0; i < 5 && !deaf.closed; i++) deaf.write(info);
  await sleep(1500);
  const wire = await takt.wire();
  const begun = Date.now();
  assert.equal((await wire.ask("INFO")).type, "$");
  assert.ok(Date.now() - begun < 1000);
  const { server } = await wire.call("INFO");
  assert.ok(server.used_memory_mb < 400, `${server.used_memory_mb} MB`);
  await Promise.all([deaf.close(), wire.close()]);
});

test("connections over the limit are told so and closed; freed places are used again", async () => {
  const small = await Takt.start({ config: "limits: {connections: 10}\n" });
  try {
    const wires = [];
    let refusal;
    for (let i = 0; i < 15 && !refusal; i++) {
      const wire = await small.wire(null);
      if (/too many connections/.test(wire.greeting)) refusal = wire;
      else wires.push(wire);
    }
    assert.match(refusal.greeting, /^ERR too many connections/);
    assert.ok(wires.length >= 8 && wires.length <= 10, `${wires.length}`);
    await Promise.all(wires.map((wire) => wire.close()));
    await refusal.close();
    await sleep(200);
    const again = await small.wire();
    assert.equal((await again.ask("INFO")).type, "$");
  } finally {
    await small.end();
  }
});

test("1,000 connections opened and left at once do no harm", async () => {
  const wires = await Promise.all(Array.from({ length: 1000 }, () => takt.wire(null)));
  await Promise.all(wires.map((wire) => wire.close()));
  const wire = await takt.wire();
  assert.equal(await wire.push({ queue: unique("alive") }), "OK");
  await wire.close();
  assert.ok(!takt.node.ended);
});

test("the longest HELLO is kept whole", async () => {
  const wid = "l";
  const rest = `HELLO {"wid":"${wid}","labels":[""]}`;
  const label = "x".repeat(64 * 1024 - rest.length);
  const wire = await takt.wire(null);
  assert.equal((await wire.ask(`HELLO {"wid":"${wid}","labels":["${label}"]}`)).text, "OK");
  const worker = (await takt.api.get("/v1/workers?limit=1000")).body.items.find((item) => item.id === wid);
  assert.deepEqual(worker.labels, [label]);
  await wire.close();
});
