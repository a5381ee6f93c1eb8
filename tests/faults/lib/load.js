// The load that a node is killed under, and the check of what is left of it.
//
// Every actor begins again after each error, since its node dies under it. What was acknowledged is noted
// the moment the answer is there; what was only asked for may have happened or not. A worker that lost its
// connection has forgotten its jobs and comes back as another one, but for the keeper: it comes back as
// itself with what it holds, and its outcomes must still count.
const path = require("node:path");
const { sleep } = require(path.join(__dirname, "..", "..", "e2e", "lib", "wait"));

const OPEN = ["pending", "running", "scheduled", "retrying"];
const QUEUES = ["load", "slow", "kept", "doomed", "late", "operated"];
const BACKLOG = 3000; // jobs that may wait; more would only make the end long
const QUIET_MS = 90000; // until the last job must have its outcome

class Load {
  constructor(takt, random, name) {
    this.takt = takt;
    this.random = random;
    this.name = name;
    this.made = 0;
    this.workers = 0;
    this.acknowledged = new Map(); // id → its queue
    this.outcomes = new Map(); // id → how many fences had a success of theirs accepted
    this.fences = new Set(); // of all leases that arrived
    this.held = new Map(); // by the keeper: id → {fence, death}
    this.failed = new Set(); // doomed jobs whose worker said so
    this.operated = new Map(); // id → the states it may be in
    this.paused = new Set([false]); // what the queue may be
    this.waiting = 0; // jobs in it, when last looked at
    this.deaths = 0; // of the node
    this.survived = 0; // jobs that ran on through one
    this.problems = [];
    this.stopping = false; // nothing new
    this.quiet = false; // no work either
  }

  start() {
    const producers = [this.submit, this.submit, this.push, this.push, this.submitOthers, this.saySilence, this.operate, this.toggle];
    const workers = [this.work, this.work, this.work, this.keep, this.hangUp, this.doom];
    this.producing = producers.map((actor) => this.forever(actor, () => this.stopping));
    this.working = workers.map((actor) => this.forever(actor, () => this.quiet));
  }

  async forever(actor, done) {
    while (!done()) {
      try {
        await actor.call(this, done);
      } catch {
        await sleep(20 + this.random(30));
      }
    }
  }

  nextId(kind) {
    return `${kind}-${this.name}-${String(++this.made).padStart(8, "0")}`;
  }

  /** Jobs over HTTP, in one request; noted when they are acknowledged. */
  async post(jobs) {
    const bulk = jobs.length > 1;
    const answer = await this.takt.api.post(bulk ? "/v1/jobs/bulk" : "/v1/jobs", bulk ? { jobs } : jobs[0]);
    if (answer.status === 201) for (const job of jobs) this.acknowledged.set(job.id, job.queue);
    else if (answer.status < 500) this.problems.push(`submit: ${answer.status} ${answer.text}`);
    return answer.status === 201;
  }

  /** For producers: workers may be slower. */
  pause() {
    return sleep(this.waiting > BACKLOG ? 100 : this.random(5));
  }

  // ---- producers ----

  async submit(done) {
    while (!done()) {
      const job = () => {
        const id = this.nextId("http");
        return { id, type: "t", queue: "load", max_lost: 1000, args: [id], delay: this.random(10) ? "0s" : "300ms" };
      };
      await this.post(Array.from({ length: 1 + this.random(20) }, job));
      await this.pause();
    }
  }

  async push(done) {
    const wire = await this.takt.wire();
    try {
      while (!done()) {
        // several at once: an answer counts for its own job only
        const ids = Array.from({ length: 1 + this.random(10) }, () => this.nextId("wire"));
        const one = (jid) => wire.push({ jid, queue: "load", args: [jid], retry: 25 }).then(() => this.acknowledged.set(jid, "load"));
        const failed = (await Promise.allSettled(ids.map(one))).find((push) => push.status === "rejected");
        if (failed) throw failed.reason;
        await this.pause();
      }
    } finally {
      await wire.close();
    }
  }

  /** What is not started in time, dies, or meets a worker that says nothing. */
  async submitOthers(done) {
    while (!done()) {
      const common = { type: "t", max_lost: 1000 };
      await this.post([{ ...common, id: this.nextId("late"), queue: "late", expires_in: "200ms" }]);
      await this.post([{ ...common, id: this.nextId("doomed"), queue: "doomed", retry: { max_attempts: 1 } }]);
      await this.post([{ ...common, id: this.nextId("slow"), queue: "slow", timeout: "1s" }]);
      await sleep(30 + this.random(50));
    }
  }

  /** One act on one job: before its answer the job may be in either state, after it in the new one only. */
  async act(id, state, call, expected) {
    const may = this.operated.get(id) || this.operated.set(id, new Set(["absent"])).get(id);
    may.add(state);
    const { status, text } = await call();
    if (status === expected) {
      may.clear();
      may.add(state);
    } else if (status < 500) {
      this.problems.push(`${id} to ${state}: ${status} ${text}`);
    }
    if (status !== expected) throw new Error(text);
  }

  async cancelAll() {
    for (const may of this.operated.values()) if (may.has("pending")) may.add("cancelled");
    const { status, text } = await this.takt.api.post("/v1/jobs/cancel", { queue: "operated" });
    if (status !== 200) throw new Error(text);
    for (const may of this.operated.values()) may.delete("pending");
  }

  /** Cancels, runs again and deletes jobs that nobody works on. */
  async operate(done) {
    const { api } = this.takt;
    while (!done()) {
      const id = this.nextId("operated");
      const at = `/v1/jobs/${id}`;
      await this.act(id, "pending", () => api.post("/v1/jobs", { id, type: "t", queue: "operated" }), 201);
      await this.act(id, "cancelled", () => api.post(`${at}/cancel`), 200);
      await this.act(id, "pending", () => api.post(`${at}/retry`), 200);
      await this.cancelAll();
      if (this.random(2)) await this.act(id, "absent", () => api.delete(at), 204);
      await sleep(this.random(40));
    }
  }

  async setPaused(paused) {
    this.paused.add(paused);
    const { status, text } = await this.takt.api.post(`/v1/queues/load/${paused ? "pause" : "resume"}`);
    if (status !== 200) throw new Error(text);
    this.paused = new Set([paused]);
  }

  /** Pauses and resumes the queue; what was answered must still hold after a restart. */
  async toggle(done) {
    const look = async () => {
      const { status, body } = await this.takt.api.get("/v1/queues/load");
      if (status !== 200) return;
      this.waiting = body.counts.pending;
      if (this.paused.has(body.paused)) return;
      this.problems.push(`the queue is ${body.paused ? "" : "not "}paused, which was answered otherwise`);
    };
    while (!done()) {
      await look();
      await this.setPaused(true);
      await sleep(20);
      await this.setPaused(false);
      await sleep(100 + this.random(100));
    }
  }

  // ---- workers ----

  async as(worker, step) {
    const wire = await this.takt.worker(worker);
    try {
      await step(wire);
    } finally {
      await wire.close();
    }
  }

  /** Leases jobs; no fence may ever be given out twice. */
  async lease(wire, request) {
    const jobs = await wire.call("TFETCH", request);
    for (const { jid, fence } of jobs) {
      if (this.fences.has(fence)) this.problems.push(`${jid} has the fence ${fence}, which was given out before`);
      this.fences.add(fence);
    }
    return jobs;
  }

  accept(answers, jobs) {
    for (const { jid } of jobs) {
      if (answers[jid] === "OK") this.outcomes.set(jid, (this.outcomes.get(jid) || 0) + 1);
    }
  }

  /** Completes, fails and sometimes forgets what it has. */
  async work(done) {
    await this.as(`worker-${++this.workers}`, async (wire) => {
      while (!done()) {
        const jobs = await this.lease(wire, { queues: ["load", "slow"], n: 1 + this.random(30), wait_ms: 200 });
        if (jobs.length === 0) continue;
        await sleep(this.random(10));
        const forgets = (job) => job.jid.endsWith("3") && job.jid.startsWith("http") && job.attempt < 3;
        const fails = (job) => job.attempt === 1 && job.jid.endsWith("7");
        const [lost, kept] = [jobs.filter(forgets), jobs.filter((job) => !forgets(job))];
        const report = (job) => ({ jid: job.jid, fence: job.fence, ...(fails(job) ? { error: { type: "E", retry_after: "100ms" } } : { result: job.fence }) });
        if (kept.length > 0) this.accept(await wire.call("TDONE", kept.map(report)), kept.filter((job) => !fails(job)));
        if (lost.length > 0) await wire.call("TFETCH", { queues: ["empty"], n: 1, wait_ms: 0, held: [] });
      }
    });
  }

  /** Its jobs run across deaths of the node, and end under the fence they began with. */
  async keep(done) {
    await this.as("keeper", async (wire) => {
      while (!done() || this.held.size > 0) {
        const room = this.held.size < 5 && !this.stopping;
        if (room) await this.post([{ id: this.nextId("kept"), type: "t", queue: "kept", max_lost: 1000 }]);
        const held = [...this.held.values()].map((job) => job.fence);
        const jobs = await this.lease(wire, { queues: [this.held.size < 5 ? "kept" : "empty"], n: 2, wait_ms: 50, held });
        for (const { jid, fence } of jobs) this.held.set(jid, { jid, fence, death: this.deaths });
        const ripe = [...this.held.values()].filter((job) => this.stopping || job.death < this.deaths - 1);
        if (ripe.length === 0) continue;
        const answers = await wire.call("TDONE", ripe.map(({ jid, fence }) => ({ jid, fence, result: fence })));
        for (const job of ripe) {
          if (answers[job.jid] !== "OK") this.problems.push(`${job.jid} was held all the time, and its outcome is ${answers[job.jid]}`);
          else if (job.death < this.deaths) this.survived++;
          this.held.delete(job.jid);
        }
        this.accept(answers, ripe);
      }
    });
  }

  /** Hangs up while its claim is under way, or with what it got. */
  async hangUp(done) {
    while (!done()) {
      await this.as(`passing-${++this.workers}`, async (wire) => {
        const lease = this.lease(wire, { queues: ["load"], n: 1 + this.random(20), wait_ms: 0 });
        lease.catch(() => {});
        if (this.random(4)) await sleep(this.random(3));
        else await lease;
      });
      await sleep(30 + this.random(60));
    }
  }

  /** A plain client that takes jobs and says nothing; at the end it would take the last one for ever. */
  async saySilence(done) {
    const wire = await this.takt.wire({ wid: `silent-${++this.workers}`, hostname: "test", pid: 1, labels: [] });
    try {
      while (!done()) {
        await wire.fetch("slow");
        await sleep(100);
      }
    } finally {
      await wire.close();
    }
  }

  async doom(done) {
    await this.as(`doom-${++this.workers}`, async (wire) => {
      while (!done()) {
        const jobs = await this.lease(wire, { queues: ["doomed"], n: 10, wait_ms: 200 });
        for (const { jid } of jobs) this.failed.add(jid);
        const report = jobs.map(({ jid, fence }) => ({ jid, fence, error: { type: "E", retryable: false } }));
        if (jobs.length > 0) await wire.call("TDONE", report);
      }
    });
  }

  // ---- the end ----

  async insist(act) {
    for (let left = 20; ; left--) {
      try {
        return await act();
      } catch (error) {
        if (left === 0) throw error;
        await sleep(100);
      }
    }
  }

  async openJobs() {
    const { body } = await this.takt.api.get("/v1/queues?limit=1000");
    const queues = body.items.filter((queue) => QUEUES.includes(queue.name));
    return queues.reduce((sum, queue) => sum + OPEN.reduce((part, state) => part + queue.counts[state], 0), 0);
  }

  /** No more load; waits until every job had the time to reach its outcome, and then checks all of them. */
  async finish() {
    this.stopping = true;
    await Promise.all(this.producing);
    await this.insist(() => this.setPaused(false));
    await this.insist(() => this.cancelAll());
    const limit = Date.now() + QUIET_MS;
    while ((await this.insist(() => this.openJobs())) > 0 && Date.now() < limit) await sleep(200);
    this.quiet = true;
    await Promise.race([Promise.all(this.working), sleep(10000)]);
    return this.check();
  }

  async all(queue) {
    const jobs = [];
    let cursor = "";
    do {
      const { status, body, text } = await this.takt.api.get(`/v1/jobs?queue=${queue}&limit=1000&fields=id,state,reason,attempt,fence,result${cursor && `&cursor=${cursor}`}`);
      if (status !== 200) throw new Error(text);
      jobs.push(...body.items);
      cursor = body.next;
    } while (cursor);
    return jobs;
  }

  /** What is wrong with an acknowledged job: "lost", "open", a sentence, or nothing. */
  judge(id, queue, job) {
    if (queue === "doomed") {
      if (!job) return this.failed.has(id) ? undefined : "lost"; // dead ones are pruned
      return job.state === "dead" ? undefined : "open";
    }
    if (!job) return "lost";
    if (OPEN.includes(job.state)) return "open";
    if (queue === "late") return job.state === "cancelled" ? undefined : `${id} expired and is ${job.state}`;
    // a job of the worker protocol is run again three times at most
    if (id.startsWith("wire") && job.state === "dead" && job.reason === "worker_lost") return undefined;
    if (job.state !== "succeeded") return `${id} is ${job.state}`;
    return job.result === job.fence ? undefined : `${id}: its result ${job.result} is not of its fence ${job.fence}`;
  }

  async check() {
    const { problems } = this;
    const seen = new Map();
    for (const job of (await Promise.all(QUEUES.map((queue) => this.all(queue)))).flat()) {
      if (seen.has(job.id)) problems.push(`${job.id} is there twice`);
      seen.set(job.id, job);
    }
    let lost = 0, open = 0, twice = 0;
    for (const [id, queue] of this.acknowledged) {
      const wrong = this.judge(id, queue, seen.get(id));
      if (wrong === "lost") lost++, problems.push(`${id} was acknowledged and is not there`);
      else if (wrong === "open") open++, problems.push(`${id} is ${seen.get(id).state}, attempt ${seen.get(id).attempt}`);
      else if (wrong) problems.push(wrong);
    }
    for (const [id, count] of this.outcomes) {
      if (count > 1) twice++, problems.push(`${id} had ${count} accepted outcomes`);
      if (seen.get(id)?.state !== "succeeded") problems.push(`${id}: its success was accepted, but it is ${seen.get(id)?.state}`);
    }
    for (const [id, may] of this.operated) {
      const state = seen.get(id)?.state || "absent";
      if (!may.has(state)) problems.push(`${id} is ${state}, not ${[...may].join(" or ")}`);
    }
    return { kept: seen.size, lost, open, twice };
  }
}

module.exports = { Load };
