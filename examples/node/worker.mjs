#!/usr/bin/env node
// Two workers in one, with nothing but Node.js's standard library: a receiver of a
// webhook, which verifies the signature of each request and answers with what the task
// changes, and a puller, which takes the tasks that follow. It counts the visits of
// pages and keeps their totals.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const node = process.argv[2] ?? "http://127.0.0.1:7480";
const secret = process.env.WEBHOOK_SECRET;
const token = process.env.FENFA_TOKEN;
const tasks = Number(process.argv[3] ?? Infinity); // stop after so many
if (!secret) {
  console.error("WEBHOOK_SECRET is not set: it is the secret of the queue's webhook");
  process.exit(2);
}

/** Calls the API of the node. Errors say what is wrong and what to do. */
async function call(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(node + path, { method, headers, body: body && JSON.stringify(body) });
  const said = await answer.json();
  if (!answer.ok) throw new Error(`${path}: ${said.error.message}`);
  return said;
}

/** Reports whether a node with our secret has made the request in the last minutes. */
function verified(headers, body) {
  const at = headers["fenfa-timestamp"] ?? "";
  if (!(Math.abs(Date.now() / 1000 - Number(at)) < 300)) return false;
  const want = createHmac("sha256", secret).update(`${at}.`).update(body).digest();
  return (headers["fenfa-signature"] ?? "").split(",").some((signature) => {
    const got = Buffer.from(signature.trim().replace(/^v1=/, ""), "hex");
    return got.length === want.length && timingSafeEqual(got, want);
  });
}

/** Decides what a visit changes, over the records of its page. */
function visit({ task, records }) {
  const page = task.payload_json;
  if (typeof page?.path !== "string") return { error: "the visit has no path", dead: true };
  const visits = records.find((r) => r.name === "visits");
  const total = (visits?.value_json.total ?? 0) + 1;
  return {
    result_json: { total },
    writes: [{ name: "visits", expected_version: visits?.version ?? "0", value_json: { total } }],
    // Every second visit is reported, by a task that is submitted with this change.
    emits: total % 2 ? [] : [{ queue: "reports", key: task.key, payload_json: { path: page.path, total } }],
  };
}

const receiver = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts);
  if (!verified(request.headers, body)) {
    response.writeHead(401).end("the signature is wrong");
    return;
  }
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(visit(JSON.parse(body))));
});
await new Promise((ready) => receiver.listen(0, "127.0.0.1", ready));

await call("PUT", "/v1/queues/reports", {});
await call("PUT", "/v1/queues/visits", {
  webhook: { targets: [{ url: `http://127.0.0.1:${receiver.address().port}/visits` }], secret },
});
console.log("ready");

let stopping = false;
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => (stopping = true));
for (let done = 0; done < tasks && !stopping; ) {
  const asked = { worker_id: `node-${process.pid}`, queues: ["reports"], max_tasks: 10, wait: "5s" };
  const leased = (await call("POST", "/v1/leases", asked)).tasks;
  if (leased.length === 0) continue;
  for (const { task } of leased) console.log(`${task.payload_json.path} has ${task.payload_json.total} visits`);
  const answers = leased.map(({ lease }) => ({ lease, result_text: "reported" }));
  for (const { error } of (await call("POST", "/v1/leases/complete", { tasks: answers })).results) {
    if (error) console.error(error.message);
    else done++;
  }
}
receiver.close();
receiver.closeAllConnections();
