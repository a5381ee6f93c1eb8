// The node is killed under load; see tests/faults/kill_node.
const { test } = require("node:test");
const assert = require("node:assert/strict");
const path = require("node:path");
const { run } = require("./lib/process");

test("10 times kill -9 under load: no acknowledged job is lost, none has two outcomes", async () => {
  const program = path.join(__dirname, "..", "faults", "kill_node");
  const end = await run(process.execPath, [program, "--kills", "10"], { timeoutMs: 170000 });
  assert.equal(end.code, 0, end.stdout + end.stderr);
  assert.match(end.stdout, /0 lost, 0 without an outcome, 0 with two, 0 problems/);
});
