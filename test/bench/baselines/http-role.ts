/** Server process of B10: reads the body, parses nothing, answers 202. */
import http from "node:http";
import type { AddressInfo } from "node:net";
import { serveRole } from "../../support/role.ts";

serveRole({
  listen: ({ accepted }: { accepted: number }): Promise<number> => {
    const body = `{"accepted":${accepted}}`;
    const server = http.createServer((request, response) => {
      request.resume();
      request.on("end", () => {
        response.writeHead(202, { "Content-Type": "application/json", "Content-Length": body.length });
        response.end(body);
      });
    });
    // A TCP listener's address is an object; only pipes have a string.
    return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)));
  },
});
