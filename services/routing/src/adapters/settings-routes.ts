/** `/api/settings`, `/api/filters`, `/api/tools` and the examples directory. Tests: ../marketplace-settings.int.test.ts. */
import { type ApiShell, bodyTextOf, maybeSessionOf, sessionOf } from "@headwater/api-http";
import {
  type Category,
  ConnectionMessagesRequest,
  CreateCategoryRequest,
  TopicFieldRequest,
  UpdateCategoryRequest,
} from "@headwater/protocol";
import { generateTopicFields } from "@headwater/topic-path";
import type { Request } from "express";
import { FEED_EXAMPLES, GLOBAL_CATEGORIES } from "../domain/catalog.ts";
import { toConnectionMessages } from "../domain/connection-messages.ts";
import { memberText } from "./feed-data-routes.ts";
import { type MarketplacePorts, param, parseBody, refusal } from "./marketplace-ports.ts";

const OWN = "/api/settings/user/categories";

export function settingsRoutes({ routes, session, maybeSession, json }: ApiShell, ports: Pick<MarketplacePorts, "categories">): void {
  const visible = async (req: Request): Promise<Category[]> => {
    const caller = maybeSessionOf(req);
    return [...GLOBAL_CATEGORIES, ...(caller ? await ports.categories.list(caller.userId) : [])];
  };
  for (const path of ["/api/settings/categories", "/api/settings/all"]) {
    routes.get(path, maybeSession, async (req, res) => void res.json({ success: true, categories: await visible(req) }));
  }
  routes.get("/api/settings/categories/:key", maybeSession, async (req, res) => {
    const data = (await visible(req)).find(({ key }) => key === param(req, "key"));
    if (!data) throw refusal("NOT_FOUND");
    res.json({ success: true, data });
  });

  routes.get(OWN, session, async (req, res) => {
    res.json({ success: true, categories: await ports.categories.list(sessionOf(req).userId) });
  });
  routes.get(`${OWN}/check/:key`, session, async (req, res) => {
    const isTaken = (await visible(req)).some(({ key }) => key === param(req, "key"));
    res.json({ success: true, available: !isTaken && CreateCategoryRequest.shape.key.safeParse(param(req, "key")).success });
  });
  routes.get(`${OWN}/:key`, session, async (req, res) => {
    const data = (await ports.categories.list(sessionOf(req).userId)).find(({ key }) => key === param(req, "key"));
    if (!data) throw refusal("NOT_FOUND");
    res.json({ success: true, data });
  });
  routes.post(OWN, session, json, async (req, res) => {
    const category = parseBody(CreateCategoryRequest, req.body);
    if (GLOBAL_CATEGORIES.some(({ key }) => key === category.key)) throw refusal("CATEGORY_EXISTS");
    const data = await ports.categories.create(sessionOf(req).userId, category);
    if (data === "exists") throw refusal("CATEGORY_EXISTS");
    if (data === "limit") throw refusal("CATEGORY_LIMIT_REACHED");
    res.status(201).json({ success: true, data });
  });
  routes.put(`${OWN}/:key`, session, json, async (req, res) => {
    const { label } = parseBody(UpdateCategoryRequest, req.body);
    const data = await ports.categories.rename(sessionOf(req).userId, safeKey(req), label);
    if (!data) throw refusal("NOT_FOUND");
    res.json({ success: true, data });
  });
  routes.delete(`${OWN}/:key`, session, async (req, res) => {
    if (!(await ports.categories.remove(sessionOf(req).userId, safeKey(req)))) throw refusal("NOT_FOUND");
    res.json({ success: true });
  });

  for (const path of ["/api/filters", "/api/filter-presets"]) {
    routes.get(path, (_req, res) => void res.json({ success: true, data: [] }));
  }
  routes.get("/api/marketplace/examples", (_req, res) => {
    res.json({ success: true, data: FEED_EXAMPLES, count: FEED_EXAMPLES.length });
  });

  routes.post("/api/tools/connection-messages", json, (req, res) => {
    const { input = "" } = parseBody(ConnectionMessagesRequest, req.body);
    if (input.trim() === "") throw refusal("INPUT_REQUIRED");
    const connectionMessages = toConnectionMessages(input);
    res.json({ success: true, connectionMessages, json: JSON.stringify(connectionMessages) });
  });
  routes.post("/api/tools/topic-field", json, (req, res) => {
    const { sample, find } = parseBody(TopicFieldRequest, req.body);
    // Source text keeps the digits of numbers that a double cannot hold.
    const text = typeof sample === "string" ? sample : memberText(bodyTextOf(req), "sample");
    res.json({ success: true, candidates: generateTopicFields(text, find) });
  });
}

/** Text that no category has in place of text that no category can have. */
function safeKey(req: Request): string {
  const key = CreateCategoryRequest.shape.key.safeParse(param(req, "key"));
  return key.success ? key.data : "";
}
