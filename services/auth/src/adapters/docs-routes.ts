/**
 * The API reference: `/openapi/spec.json`, and `/docs` with Swagger UI out of its npm package. Nothing is loaded from elsewhere, and the page's
 * content security policy allows no inline script and no eval. Tests: docs-routes.int.test.ts.
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { ApiShell } from "@headwater/api-http";
import type { Response } from "express";
import assetFolder from "swagger-ui-dist/absolute-path.js";

/** Swagger UI sets style attributes; scripts come from here only. */
const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const FILES: Readonly<Record<string, string>> = {
  "swagger-ui.css": "text/css; charset=utf-8",
  "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
  "favicon-32x32.png": "image/png",
};

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Headwater API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="reference"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`;

/** The token of a login stays in this page's memory: nothing is remembered over a reload. */
const START = `SwaggerUIBundle({ url: "/openapi/spec.json", dom_id: "#reference", deepLinking: true, validatorUrl: null });
`;

const DAY_S = 86_400;

/** Reads the document and finds the assets once. @throws when either is not installed */
export async function docsRoutes(shell: ApiShell): Promise<void> {
  const assets = assetFolder();
  const document: unknown = JSON.parse(await readFile(fileURLToPath(import.meta.resolve("@headwater/protocol/openapi.json")), "utf8"));
  // Calls from the page go where the page came from.
  const spec = JSON.stringify({ ...(document as Record<string, unknown>), servers: [{ url: "/" }] });

  const send = (res: Response, type: string, body: string): void => {
    res.setHeader("Content-Type", type);
    res.setHeader("Cache-Control", "no-cache");
    res.end(body);
  };
  shell.routes.get("/openapi/spec.json", (_req, res) => send(res, "application/json; charset=utf-8", spec));
  shell.routes.get("/docs", (_req, res) => {
    res.setHeader("Content-Security-Policy", PAGE_POLICY);
    send(res, "text/html; charset=utf-8", PAGE);
  });
  shell.routes.get("/docs/start.js", (_req, res) => send(res, "text/javascript; charset=utf-8", START));
  for (const [name, type] of Object.entries(FILES)) {
    shell.routes.get(`/docs/${name}`, (_req, res, next) => {
      res.setHeader("Content-Type", type);
      res.setHeader("Cache-Control", `public, max-age=${DAY_S}`);
      res.sendFile(name, { root: assets, cacheControl: false, dotfiles: "deny" }, (error) => {
        // A caller that hung up is nobody's error.
        if (error && !res.destroyed) next(error);
      });
    });
  }
}
