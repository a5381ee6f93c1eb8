// A PostgreSQL and a Redis of a test's own, to be stopped, frozen and killed: what a whole run shares has to
// stay. They end with the test process. Paths and settings are those of tests/servers.
const { execFileSync, spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const processes = require("./process");

const scripts = path.resolve(__dirname, "..", "..", "servers");
const started = new Set();

// before process.js removes their directories
process.prependListener("exit", () => {
  for (const server of started) server.endNow();
});

/** Runs a script of tests/servers; gives its output. */
async function script(name, ...args) {
  const end = await processes.run(path.join(scripts, name), args, { timeoutMs: 90000 });
  if (end.code !== 0) throw new Error(`${name} ${args.join(" ")}: ${end.code} ${end.signal}\n${end.stderr}`);
  return end.stdout.trim();
}

class Server {
  constructor(kind) {
    this.kind = kind;
    this.directory = processes.temporaryDirectory(`takt-${kind}`);
  }

  /** Starts it, again on the same port and with its data. */
  async up(...settings) {
    started.add(this);
    this.url = await script(this.kind, "start", this.directory, ...settings);
  }

  async kill() {
    await script(this.kind, "kill", this.directory);
  }

  signal(signal) {
    for (const pid of this.pids()) {
      try {
        process.kill(pid, signal);
      } catch {} // it has ended
    }
  }

  /** It answers nothing and closes nothing, until thaw(). */
  freeze() {
    this.signal("SIGSTOP");
  }

  thaw() {
    this.signal("SIGCONT");
  }

  endNow() {
    this.thaw();
    spawnSync(path.join(scripts, this.kind), ["stop", this.directory], { stdio: "ignore", timeout: 20000 });
  }
}

class Postgres extends Server {
  static async start(...settings) {
    const server = new Postgres("postgres");
    await server.up(...settings);
    return server;
  }

  /** `fast`: connections are told to go; `immediate`: as after a crash. */
  async stop(mode = "fast") {
    await script("postgres", "stop", this.directory, mode);
  }

  /** The postmaster, then its children. */
  pids() {
    let main;
    try {
      main = fs.readFileSync(path.join(this.directory, "data", "postmaster.pid"), "utf8").split("\n")[0];
    } catch {
      return []; // it is down
    }
    const children = spawnSync("pgrep", ["-P", main], { encoding: "utf8" }).stdout;
    return [main, ...children.split("\n").filter(Boolean)].map(Number);
  }

  /** Runs SQL as superuser; gives its rows as lines of text. */
  sql(text, url = this.url) {
    const options = { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] };
    return execFileSync("psql", [url, "-qXAt", "-v", "ON_ERROR_STOP=1", "-c", text], options).trim();
  }
}

class Redis extends Server {
  static async start(...settings) {
    const server = new Redis("redis");
    await server.up(...settings);
    return server;
  }

  async stop() {
    await script("redis", "stop", this.directory);
  }

  pids() {
    try {
      return [Number(fs.readFileSync(path.join(this.directory, "pid"), "utf8"))];
    } catch {
      return [];
    }
  }

  /** redis-cli. */
  cli(...args) {
    const port = fs.readFileSync(path.join(this.directory, "port"), "utf8").trim();
    return execFileSync("redis-cli", ["-p", port, "--raw", ...args], { encoding: "utf8" }).trim();
  }
}

module.exports = { Postgres, Redis };
