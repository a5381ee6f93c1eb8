// Waiting: for a while, or until something holds.
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Calls `look` until it gives something true, and returns that; throws after `timeoutMs`. */
async function until(what, look, timeoutMs = 10000, everyMs = 25) {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const value = await look();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(everyMs);
  }
}

let counter = 0;
/** A name that nothing else in this run has. */
const unique = (prefix) => `${prefix}-${process.pid}-${Date.now().toString(36)}-${++counter}`;

module.exports = { sleep, until, unique };
