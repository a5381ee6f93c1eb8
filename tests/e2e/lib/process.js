// Starts programs, and ends all of them with the test process, whatever happens in it.
// Not concerned with what the programs are. Every directory made here is removed at the end.
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const running = new Set();
const directories = new Set();

function endAll() {
  for (const child of running) {
    try {
      process.kill(child.pid, "SIGCONT");
      process.kill(child.pid, "SIGKILL");
    } catch {}
  }
  for (const directory of directories) fs.rmSync(directory, { recursive: true, force: true });
}
process.on("exit", endAll);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

function temporaryDirectory(name = "takt-e2e") {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), `${name}-`));
  directories.add(directory);
  return directory;
}

/** A program under way: `.pid`, `.stdout`, `.stderr` so far, `.exited` → {code, signal}. */
function start(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], ...options });
  const program = { child, pid: child.pid, stdout: "", stderr: "", ended: false };
  running.add(child);
  for (const stream of ["stdout", "stderr"]) {
    child[stream].setEncoding("utf8");
    child[stream].on("data", (text) => (program[stream] += text));
  }
  child.stdin.on("error", () => {});
  program.exited = new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      running.delete(child);
      program.ended = true;
      resolve({ code, signal });
    });
  });
  program.exited.catch(() => {});
  program.kill = (signal = "SIGKILL") => {
    if (!program.ended) process.kill(child.pid, signal);
  };
  return program;
}

/** Runs to its end: {code, signal, stdout, stderr}. Killed when `timeoutMs` is over. */
async function run(command, args, { input, timeoutMs = 20000, ...options } = {}) {
  const program = start(command, args, options);
  const timer = setTimeout(() => program.kill(), timeoutMs);
  program.child.stdin.end(input ?? "");
  const end = await program.exited;
  clearTimeout(timer);
  return { ...end, stdout: program.stdout, stderr: program.stderr };
}

function isAlive(pid) {
  try {
    const state = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
    return !/^\d+ \(.*\) Z/s.test(state);
  } catch {
    return false;
  }
}

/** Pids of live processes whose command line holds this text. */
function processesWith(text) {
  const found = [];
  for (const name of fs.readdirSync("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    try {
      const line = fs.readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ");
      if (line.includes(text) && isAlive(Number(name))) found.push(Number(name));
    } catch {}
  }
  return found;
}

module.exports = { start, run, isAlive, processesWith, temporaryDirectory };
