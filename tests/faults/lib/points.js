// Crash points: which there are, in what order they are visited, and how a node is brought to each.
//
// The binary tells its points and when they are passed (src/base/crash.h), so a new one is visited without
// a change here. A point under load is passed by the node that the load runs on; first starts and wipes
// have nodes of their own, whose jobs nobody else counts.
const { execFileSync } = require("node:child_process");
const path = require("node:path");
const lib = path.join(__dirname, "..", "..", "e2e", "lib");
const { Takt } = require(path.join(lib, "takt"));
const { run } = require(path.join(lib, "process"));
const { sleep } = require(path.join(lib, "wait"));

const DEPTHS = [1, 2, 3]; // the pass that a repeated point is visited on
const REACH_MS = 12000; // a reaping begins 5 s after the start
const DEEP_MS = 3000;

const repeats = (point) => point.when === "LOAD" || point.when === "WIPE";

/** TAKT_CRASH_BIN, or built into build/crash. */
function crashBinary() {
  if (process.env.TAKT_CRASH_BIN) return path.resolve(process.env.TAKT_CRASH_BIN);
  return execFileSync(path.join(__dirname, "..", "build_crash"), { encoding: "utf8" }).trim().split("\n").pop();
}

async function listPoints(binary) {
  const end = await run(binary, ["serve"], { env: { ...process.env, TAKT_CRASH_AT: "list" }, timeoutMs: 5000 });
  const rows = end.stdout.split("\n").map((line) => line.split("\t"));
  const points = rows.filter((row) => row.length === 3).map(([name, when, meaning]) => ({ name, when, meaning }));
  if (points.length === 0) throw new Error(`${binary} has no crash points: build it with -Dcrash_points=true`);
  return points;
}

/** Every point on its first pass, then on its second, its third, and on later ones as long as cycles are left. */
function planVisits(points, cycles, random) {
  const visits = [];
  for (const n of DEPTHS) {
    for (const point of random.shuffled(points)) if (n === 1 || repeats(point)) visits.push({ point, n });
  }
  const loaded = points.filter((point) => point.when === "LOAD");
  while (visits.length < cycles) visits.push({ point: loaded[random(loaded.length)], n: 4 + random(60), deep: true });
  return visits.slice(0, cycles);
}

class Visitor {
  constructor(main, load, random, binary, config) {
    Object.assign(this, { main, load, random, binary, config });
    this.visited = new Map(); // name → the passes it was visited on
    this.reached = 0;
    this.fresh = 0;
  }

  problem(visit, text) {
    this.load.problems.push(`${visit.point.name}:${visit.n}: ${text}`);
  }

  launch(takt, visit) {
    takt.launch({ TAKT_CRASH_AT: `${visit.point.name}:${visit.n}` });
  }

  /** Waits for the death at the point; kills the node when it does not come. */
  async death(takt, visit) {
    const { node } = takt;
    let timer;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, visit.deep ? DEEP_MS : REACH_MS, null)));
    const end = await Promise.race([node.exited, late]);
    clearTimeout(timer);
    if (!end) {
      await takt.kill();
    } else if (end.signal === "SIGKILL") {
      this.reached++;
      const passes = this.visited.get(visit.point.name) || new Set();
      this.visited.set(visit.point.name, passes.add(visit.n));
    } else {
      this.problem(visit, `the node ended with ${end.code ?? end.signal}: ${node.stderr.slice(-500)}`);
    }
    return end !== null;
  }

  async onMain(visit) {
    const { main, load, random } = this;
    await main.kill();
    load.deaths++;
    this.launch(main, visit);
    if (visit.point.when === "STOP") {
      await main.ready();
      await sleep(random(200));
      main.node.kill("SIGTERM");
    }
    await this.death(main, visit);
    load.deaths++;
    await main.up();
    await sleep(50 + random(200));
  }

  /** A node that has just been through a death must take a job and end it. */
  async works(takt, visit) {
    const id = `after-${visit.point.name}-${visit.n}`;
    await takt.api.submit({ id, type: "t", queue: "after" });
    const worker = await takt.worker("after");
    const [job] = await worker.lease("after", 1, 5000);
    const answers = job && (await worker.call("TDONE", [{ jid: job.jid, fence: job.fence }]));
    if (answers?.[id] !== "OK") this.problem(visit, `a job after it: ${JSON.stringify(answers)}`);
    await worker.close();
  }

  aside() {
    return Takt.make({ binary: this.binary, config: this.config, flags: ["--log-level", "warn"] });
  }

  async onFresh(visit) {
    const takt = await this.aside();
    this.launch(takt, visit);
    await this.death(takt, visit);
    await takt.up();
    await this.works(takt, visit);
    await takt.end();
  }

  /** All or nothing of what was there before a FLUSH; nothing of what was there before an answered one. */
  async onWipe(visit) {
    const takt = await this.aside();
    this.launch(takt, visit);
    await takt.ready();
    let generation = 0, answered = 0;
    const size = 20;
    try {
      for (;;) {
        generation++;
        const jobs = Array.from({ length: size }, (_, i) => ({ id: `g${generation}-${i}`, type: "t", queue: "wiped" }));
        await takt.api.post("/v1/jobs/bulk", { jobs });
        const wire = await takt.wire();
        await wire.call("FLUSH");
        await wire.close();
        answered = generation;
        if (generation > visit.n) break;
      }
    } catch {}
    await this.death(takt, visit);
    await takt.up();
    const { body } = await takt.api.get("/v1/jobs?queue=wiped&limit=1000");
    const old = body.items.filter((job) => !job.id.startsWith(`g${generation}-`)).length;
    if (old > 0 || (body.items.length !== 0 && body.items.length !== size) || (answered === generation && body.items.length > 0)) {
      this.problem(visit, `${body.items.length} jobs are left, ${old} of them from before an answered FLUSH`);
    }
    const queue = await takt.api.get("/v1/queues/wiped");
    const counted = queue.status === 200 ? queue.body.counts.pending : 0;
    if (counted !== body.items.length) this.problem(visit, `${counted} jobs are counted, ${body.items.length} are there`);
    await this.works(takt, visit);
    await takt.end();
  }

  async visit(visit) {
    if (visit.point.when === "FRESH") return this.onFresh(visit);
    if (visit.point.when === "WIPE") return this.onWipe(visit);
    return this.onMain(visit);
  }

  isVisited({ point, n }) {
    return this.visited.get(point.name)?.has(n) || false;
  }

  /** The line about coverage; a point that was never reached is a problem. */
  coverage(points, visits) {
    for (const { name } of points) if (!this.visited.has(name)) this.load.problems.push(`${name} was never reached`);
    const at = (n) => points.filter((point) => this.isVisited({ point, n })).length;
    const can = (n) => (n === 1 ? points.length : points.filter(repeats).length);
    const planned = DEPTHS.filter((n) => visits.some((visit) => visit.n === n));
    const parts = planned.map((n) => `n=${n}: ${at(n)} of ${can(n)}`);
    const any = points.filter((point) => this.visited.has(point.name)).length;
    return `crash points: ${any} of ${points.length} visited (${parts.join(", ")}; ${this.reached} deaths at a point)`;
  }
}

module.exports = { crashBinary, listPoints, planVisits, Visitor };
