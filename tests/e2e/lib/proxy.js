// A TCP proxy in front of a port of loopback, for the middlebox that loses its connections.
const net = require("node:net");

class Proxy {
  /** Forwards to `target`; `.url` for workers. */
  static async start(target) {
    const proxy = new Proxy();
    proxy.target = target;
    proxy.shuns = false;
    proxy.sockets = new Set();
    proxy.server = net.createServer((socket) => proxy.take(socket));
    await new Promise((resolve) => proxy.server.listen(0, "127.0.0.1", resolve));
    proxy.url = `tcp://127.0.0.1:${proxy.server.address().port}`;
    return proxy;
  }

  take(socket) {
    const sides = [socket];
    if (!this.shuns) sides.push(net.connect({ port: this.target, host: "127.0.0.1" }));
    for (const side of sides) {
      side.on("error", () => {});
      side.on("close", () => sides.forEach((other) => other.destroy()));
      this.sockets.add(side);
    }
    if (this.shuns) return socket.resetAndDestroy();
    sides[0].pipe(sides[1]).pipe(sides[0]);
  }

  /** Resets every connection on both sides, and new ones as soon as they stand: nobody is refused. */
  shun() {
    this.shuns = true;
    for (const socket of this.sockets) socket.resetAndDestroy();
    this.sockets.clear();
  }

  welcome() {
    this.shuns = false;
  }

  stop() {
    this.shun();
    this.server.close();
  }
}

module.exports = { Proxy };
