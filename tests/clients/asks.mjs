// Asks a service with fetch, as Node.js and browsers have it. Prints a line for each answer.
import { readFileSync } from "node:fs";

const [, , service, path] = process.argv;
const picture = readFileSync(path);

async function ask(address, options) {
  const answer = await fetch(service + address, options);
  console.log(`${answer.status} HTTP ${await answer.text()}`);
}

const headers = { "Content-Type": "application/json" };
await ask("/predict/pass", { method: "POST", body: '{"hours": 4}', headers });
await ask("/predict/digit", { method: "POST", body: picture, headers: { "Content-Type": "image/png" } });
const form = new FormData();
form.append("file", new Blob([picture], { type: "image/png" }), "7.png");
await ask("/predict/digit", { method: "POST", body: form });
const stream = new Blob([picture]).stream();
await ask("/predict/digit", { method: "POST", body: stream, duplex: "half", headers: { "Content-Type": "image/png" } });
await ask("/health/live", { method: "HEAD" });
await ask("/predict/pass", { method: "OPTIONS" });
