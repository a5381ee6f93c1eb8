// The worker protocol by hand: lines out, replies in, in order. Knows nothing of jobs.
//
// A reply is {type: "+", "-" or "$", text}; text is null for $-1. Integers and arrays are never sent by a
// server, so meeting one is an error.
const crypto = require("node:crypto");
const net = require("node:net");

class Wire {
  constructor(socket) {
    this.socket = socket;
    this.input = Buffer.alloc(0);
    this.replies = [];
    this.waiting = [];
    this.closed = false;
    socket.on("data", (bytes) => this.take(bytes));
    socket.on("error", () => {});
    this.ended = new Promise((resolve) => {
      socket.on("close", () => {
        this.closed = true;
        for (const waiter of this.waiting.splice(0)) waiter.reject(new Error("the connection was closed"));
        resolve();
      });
    });
  }

  /** Connects and reads the greeting; says HELLO unless `hello` is null. Throws when it is refused. */
  static async connect(port, hello = {}, { password, host = "127.0.0.1" } = {}) {
    const socket = net.connect({ port, host });
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    socket.setNoDelay(true);
    const wire = new Wire(socket);
    wire.greeting = (await wire.reply()).text;
    if (hello === null) return wire;
    const whole = { v: 2, ...hello };
    if (password !== undefined) whole.pwdhash = wire.hash(password, whole.v);
    const reply = await wire.ask(`HELLO ${JSON.stringify(whole)}`);
    if (reply.type !== "+" || reply.text !== "OK") throw new Error(`HELLO: ${reply.type}${reply.text}`);
    return wire;
  }

  /** What the greeting asks a client of version `v` to send for this password. */
  hash(password, v) {
    const { i = 1, s = "" } = JSON.parse(this.greeting.slice(3));
    let digest = crypto.createHash("sha256").update(password + s).digest();
    for (let round = 1; round < (v >= 2 ? i : 1); round++) {
      digest = crypto.createHash("sha256").update(digest).digest();
    }
    return digest.toString("hex");
  }

  take(bytes) {
    this.input = Buffer.concat([this.input, bytes]);
    for (;;) {
      const end = this.input.indexOf("\r\n");
      if (end < 0) return;
      const type = String.fromCharCode(this.input[0]);
      let text = this.input.toString("utf8", 1, end);
      let used = end + 2;
      if (type === "$") {
        const length = Number(text);
        text = null;
        if (length >= 0) {
          if (this.input.length < used + length + 2) return;
          text = this.input.toString("utf8", used, used + length);
          used += length + 2;
        }
      }
      this.input = this.input.subarray(used);
      this.deliver({ type, text });
    }
  }

  deliver(reply) {
    const waiter = this.waiting.shift();
    if (waiter) waiter.resolve(reply);
    else this.replies.push(reply);
  }

  /** The next reply. */
  reply() {
    if (this.replies.length > 0) return Promise.resolve(this.replies.shift());
    if (this.closed) return Promise.reject(new Error("the connection was closed"));
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  write(bytes) {
    this.socket.write(bytes);
  }

  /** Sends a line and gives its reply. */
  ask(line) {
    const reply = this.reply();
    this.write(`${line}\r\n`);
    return reply;
  }

  /** The same with a JSON argument; a bulk reply is parsed, an error thrown, "OK" given as it is. */
  async call(verb, argument) {
    const text = argument === undefined ? verb : `${verb} ${JSON.stringify(argument)}`;
    const reply = await this.ask(text);
    if (reply.type === "-") throw new Error(reply.text);
    if (reply.type === "+") return reply.text;
    if (reply.type !== "$") throw new Error(`a reply of type ${reply.type}`);
    return reply.text === null ? null : JSON.parse(reply.text);
  }

  push(job) {
    return this.call("PUSH", { jid: job.jid || newJid(), jobtype: "test", args: [], ...job });
  }

  async fetch(...queues) {
    return this.call(`FETCH ${queues.join(" ")}`);
  }

  /** Opted in: jobs of a queue, an array. */
  lease(queues, n = 1, wait_ms = 0) {
    return this.call("TFETCH", { queues: [queues].flat(), n, wait_ms });
  }

  close() {
    this.socket.destroy();
    return this.ended;
  }
}

const newJid = () => crypto.randomBytes(12).toString("hex");

module.exports = { Wire, newJid };
