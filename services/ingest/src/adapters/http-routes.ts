/** The collector's routes on one Express router: one handler each, no middleware. `POST /v1/events` is also served without Express. */
import type { DirectHandler } from "@headwater/runtime";
import express, { type Router } from "express";
import { type EventRouteOptions, eventHandler } from "./event-routes.ts";
import { configHandler, optInHandler, optOutHandler, receiptHandler } from "./privacy-routes.ts";

export interface InFlight {
  begin(): void;
  end(): void;
}

export interface IntakeRoutes {
  router: Router;
  direct: ReadonlyMap<string, DirectHandler>;
}

export function intakeRoutes(options: EventRouteOptions, inFlight: InFlight): IntakeRoutes {
  const counted = async (work: Promise<void>): Promise<void> => {
    inFlight.begin();
    try {
      await work;
    } finally {
      inFlight.end();
    }
  };
  const router = express.Router({ caseSensitive: true });
  const handleEvents = eventHandler(options);
  const events: DirectHandler = (req, res) => counted(handleEvents(req, res));
  const [receipt, config, optOut, optIn] = [receiptHandler(options), configHandler(options), optOutHandler(options), optInHandler(options)];
  router.all("/v1/events", (req, res) => events(req, res));
  router.all("/v1/consent/receipt", (req, res) => counted(receipt(req, res)));
  router.all("/v1/consent/config", (req, res) => counted(config(req, res)));
  router.all("/v1/optout", (req, res) => counted(optOut(req, res)));
  router.all("/v1/optout/:visitorId", (req, res) => counted(optIn(req, res, req.params.visitorId)));
  return { router, direct: new Map([["/v1/events", events]]) };
}
