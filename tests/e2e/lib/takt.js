// A node of its own for a test: fresh data directory, free ports, its log, its API, its commands.
const { execFileSync } = require("node:child_process");
const crypto = require("node:crypto");
const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const processes = require("./process");
const { Api } = require("./api");
const { Wire } = require("./wire");
const { sleep, until } = require("./wait");

const root = path.resolve(__dirname, "..", "..", "..");
const binary = process.env.TAKT_BIN || process.env.TAKT || path.join(root, "build", "takt");

/**
 * Free ports of loopback, all different. They lie below those the kernel gives to connections, which several
 * test files at once open by the thousand: one of them must not take a node's port while the node restarts.
 */
async function freePorts(count) {
  const ports = [];
  while (ports.length < count) {
    const port = crypto.randomInt(10000, 32768);
    const server = net.createServer();
    const free = await new Promise((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    if (!ports.includes(port)) ports.push(port);
  }
  return ports;
}

/** The environment without any TAKT_ variable of the caller. */
function cleanEnvironment(more = {}) {
  const kept = Object.entries(process.env).filter(([name]) => !/^(TAKT|FAKTORY)_?/.test(name));
  return { ...Object.fromEntries(kept), ...more };
}

const nodes = new Set();

/** A database of its own on the server that --cluster started, or null. */
function newDatabase() {
  const server = process.env.E2E_POSTGRES;
  if (!server) return null;
  const name = `e2e_${crypto.randomBytes(8).toString("hex")}`;
  execFileSync("psql", [server, "-qX", "-c", `CREATE DATABASE ${name}`], { stdio: ["ignore", "ignore", "inherit"] });
  return server.replace(/[^/]*$/, name);
}

/** A prefix of its own on the Redis that --cluster started, or null. */
function newBroker() {
  const server = process.env.E2E_REDIS;
  return server ? `${server}?prefix=e2e-${crypto.randomBytes(6).toString("hex")}:` : null;
}

class Takt {
  /** For the end of a test file: all its nodes and workers are gone, those of failed tests too. */
  static async endAll() {
    await Promise.all([...nodes].map((takt) => takt.end()));
  }

  /**
   * Starts a node and waits until it is ready. Options: `config` (YAML text), `env`, `flags`, `data` (a
   * directory to use again), `binary`; `store` and `broker` (URLs; of a cluster, and by default under --cluster).
   */
  static async start(options = {}) {
    const takt = await Takt.make(options);
    await takt.up();
    return takt;
  }

  /** The same, but it is not started yet. */
  static async make(options = {}) {
    const takt = new Takt();
    takt.workers = [];
    nodes.add(takt);
    takt.options = options;
    takt.store = options.store === undefined ? newDatabase() : options.store;
    takt.broker = options.broker === undefined ? takt.store && newBroker() : options.broker;
    takt.data = options.data || path.join(processes.temporaryDirectory(), "data");
    [takt.httpPort, takt.port] = await freePorts(2);
    takt.url = `http://127.0.0.1:${takt.httpPort}`;
    takt.wireUrl = `tcp://127.0.0.1:${takt.port}`;
    if (options.config) {
      takt.configPath = path.join(processes.temporaryDirectory(), "takt.yaml");
      fs.writeFileSync(takt.configPath, options.config);
    }
    return takt;
  }

  /** Starts it (again) on the same data and ports. */
  async up() {
    this.launch();
    await this.ready();
  }

  /** Starts it, with `env` beside what it always has, and waits for nothing. */
  launch(env = {}) {
    const flags = ["serve", "--data", this.data, "--http", `127.0.0.1:${this.httpPort}`];
    flags.push("--worker", `127.0.0.1:${this.port}`, ...(this.options.flags || []));
    if (this.store) flags.push("--store", this.store);
    if (this.broker) flags.push("--broker", this.broker);
    if (this.configPath) flags.push("--config", this.configPath);
    const program = this.options.binary || binary;
    this.node = processes.start(program, flags, { env: cleanEnvironment({ ...this.options.env, ...env }) });
  }

  /** Waits until it is ready; throws when it ends. */
  async ready() {
    await until(
      "the node is ready",
      async () => {
        if (this.node.ended) throw new Error(`the node ended:\n${this.node.stderr.slice(-3000)}`);
        return fetch(`${this.url}/readyz`).then((answer) => answer.ok, () => false);
      },
      15000,
    );
    this.token = fs.readFileSync(path.join(this.data, "admin.token"), "utf8").trim();
    this.api = new Api(this.url, this.token);
  }

  get log() {
    return this.node.stderr;
  }

  /** kill -9, and waits until it is gone. */
  async kill() {
    this.node.kill("SIGKILL");
    await this.node.exited;
  }

  /** SIGTERM; kills it when it does not end within 35 s. Returns {code, signal}. */
  async stop() {
    this.node.kill("SIGTERM");
    const timer = setTimeout(() => this.node.kill("SIGKILL"), 35000);
    const end = await this.node.exited;
    clearTimeout(timer);
    return end;
  }

  /** kill -9 and start on the same data. */
  async restart() {
    await this.kill();
    await this.up();
  }

  /** Node and workers are gone at once; sanitized ones may end in order, since leaks are looked for at an exit. */
  async end() {
    const programs = [...this.workers, ...(this.node ? [this.node] : [])];
    const gone = Promise.all(programs.map((program) => program.exited));
    if (process.env.TAKT_E2E_SANITIZED) {
      for (const program of programs) program.kill("SIGTERM");
      await Promise.race([gone, sleep(5000)]);
    }
    for (const program of programs) program.kill("SIGKILL");
    await gone;
  }

  /** A connection of the worker protocol, greeted. See Wire.connect(). */
  wire(hello = {}, options = {}) {
    return Wire.connect(this.port, hello, options);
  }

  /** An opted-in worker's connection. */
  worker(wid, options = {}) {
    return Wire.connect(this.port, { wid, hostname: "test", pid: 1, labels: [], takt: {} }, options);
  }

  /** Runs `takt …` against this node as admin: {code, stdout, stderr}. */
  cli(args, { env, ...options } = {}) {
    const own = cleanEnvironment({ TAKT_SERVER: this.url, TAKT_TOKEN: this.token, ...env });
    return processes.run(binary, args, { env: own, ...options });
  }

  /** Starts `takt worker` for these types; ends with the node, or the test process. `url`: of one node, or several. */
  startWorker({ types, queues = ["default"], concurrency = 4, env, flags = [], url = this.wireUrl }) {
    const config = path.join(processes.temporaryDirectory(), "worker.yaml");
    fs.writeFileSync(config, `types: ${JSON.stringify(types)}\n`);
    const args = ["worker", "--config", config, "--url", [url].flat().join(","), "--queues", queues.join(",")];
    args.push("--concurrency", String(concurrency), ...flags);
    const worker = processes.start(binary, args, { env: cleanEnvironment(env) });
    this.workers.push(worker);
    return worker;
  }
}

module.exports = { newDatabase, newBroker, Takt, binary, root, freePorts, cleanEnvironment };
