// The HTTP API as a test sees it: JSON in, JSON out, nothing hidden. Never throws for a status.
const { until } = require("./wait");

class Api {
  constructor(url, token) {
    this.url = url;
    this.token = token;
  }

  /** The same API as someone else; null: without a token. */
  as(token) {
    return new Api(this.url, token);
  }

  /** → {status, headers, body (parsed JSON, or text), text}. A string or Buffer body is sent as it is. */
  async call(method, path, body, headers = {}) {
    const all = { ...headers };
    if (this.token && !all.Authorization) all.Authorization = `Bearer ${this.token}`;
    const raw = typeof body === "string" || Buffer.isBuffer(body) || body === undefined;
    if (body !== undefined && !all["Content-Type"]) all["Content-Type"] = "application/json";
    const answer = await fetch(this.url + path, {
      method,
      headers: all,
      body: raw ? body : JSON.stringify(body),
      redirect: "manual",
    });
    const text = await answer.text();
    const type = answer.headers.get("content-type") || "";
    const parsed = /json\b/.test(type) && text && !/ndjson/.test(type) ? JSON.parse(text) : text;
    return { status: answer.status, headers: answer.headers, body: parsed, text };
  }

  get(path, headers) {
    return this.call("GET", path, undefined, headers);
  }
  post(path, body, headers) {
    return this.call("POST", path, body, headers);
  }
  patch(path, body, headers) {
    return this.call("PATCH", path, body, headers);
  }
  delete(path, headers) {
    return this.call("DELETE", path, undefined, headers);
  }

  /** Submits and insists on it. */
  async submit(job) {
    const answer = await this.post("/v1/jobs", job);
    if (answer.status !== 201) throw new Error(`submit: ${answer.status} ${answer.text}`);
    return answer.body;
  }

  async job(id) {
    const answer = await this.get(`/v1/jobs/${id}`);
    if (answer.status !== 200) throw new Error(`job ${id}: ${answer.status} ${answer.text}`);
    return answer.body;
  }

  /** Waits until the job is in this state (or one of these); returns it. */
  async reaches(id, state, timeoutMs = 10000) {
    const states = [state].flat();
    let job;
    const look = async () => states.includes((job = await this.job(id)).state) && job;
    try {
      return await until("", look, timeoutMs);
    } catch (error) {
      if (!/^not within/.test(error.message)) throw error;
      throw new Error(`job ${id} is ${job.state}, not ${states} after ${timeoutMs} ms: ${JSON.stringify(job)}`);
    }
  }

  /** The value of one series of /metrics; 0 when it is not there. `labels` is what must be among its labels. */
  async metric(name, labels = {}) {
    const { text } = await this.get("/metrics");
    let sum = 0;
    for (const line of text.split("\n")) {
      const match = /^([a-z_]+)(\{.*\})? (\S+)$/.exec(line);
      if (!match || match[1] !== name) continue;
      const has = Object.entries(labels).every(([key, value]) => match[2]?.includes(`${key}="${value}"`));
      if (has) sum += Number(match[3]);
    }
    return sum;
  }
}

module.exports = { Api };
