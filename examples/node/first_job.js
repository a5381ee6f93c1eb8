// Pushes a job and works on it with the npm package faktory-worker, unmodified: Takt speaks its protocol.
//
//   npm install && node first_job.js        (FAKTORY_URL, default tcp://127.0.0.1:7419)
const faktory = require("faktory-worker");

faktory.register("greet", async (name) => {
    console.log(`hello, ${name}`);
    process.kill(process.pid, "SIGTERM"); // one job is enough for an example: stop in order
});

(async () => {
    const client = await faktory.connect();
    await client.job("greet", "world").push();
    await client.close();
    await faktory.work();
})();
