// A receiver for push: Node's standard library alone.
//
//     node receiver.mjs 9000
//
// Prints each record that it takes as one line of JSON. A record whose answer was lost comes again with
// the same Idempotency-Key: what must happen once goes by that.

import { createServer } from "node:http";

const done = new Set(); // a real service keeps this with what it does, in one commit

function refuse(response, status, title) {
  response.writeHead(status, { "content-type": "application/problem+json" });
  response.end(JSON.stringify({ title, status }));
}

const server = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts);
  let record = null;
  try {
    if (body.length > 0) record = JSON.parse(body);
  } catch {
    return refuse(response, 422, "The body is not JSON");
  }
  if (record?.amount < 0) {
    return refuse(response, 422, "A payment is not negative"); // a dead letter, at once
  }
  const { headers } = request;
  if (!done.has(headers["idempotency-key"])) {
    done.add(headers["idempotency-key"]);
    const told = {
      id: headers["ce-id"],
      key: decodeURIComponent(headers["ce-partitionkey"] ?? ""),
      attempt: Number(headers["ce-attempt"]),
      record,
    };
    console.log(JSON.stringify(told));
  }
  response.writeHead(204).end();
});

server.listen(Number(process.argv[2] ?? 9000), "127.0.0.1", () => {
  console.error(`listening on http://127.0.0.1:${server.address().port}`);
});
