/** The collector's routes on one Express router: one handler each, no middleware, because every layer costs on the hot path. */
import express, { type Router } from "express";
import { type EventRouteOptions, eventHandler } from "./event-routes.ts";
import { configHandler, optInHandler, optOutHandler, receiptHandler } from "./privacy-routes.ts";

export interface InFlight {
  begin(): void;
  end(): void;
}

export function intakeRouter(options: EventRouteOptions, inFlight: InFlight): Router {
  const counted = async (work: Promise<void>): Promise<void> => {
    inFlight.begin();
    try {
      await work;
    } finally {
      inFlight.end();
    }
  };
  const router = express.Router({ caseSensitive: true });
  const [events, receipt, config, optOut, optIn] = [
    eventHandler(options),
    receiptHandler(options),
    configHandler(options),
    optOutHandler(options),
    optInHandler(options),
  ];
  router.all("/v1/events", (req, res) => counted(events(req, res)));
  router.all("/v1/consent/receipt", (req, res) => counted(receipt(req, res)));
  router.all("/v1/consent/config", (req, res) => counted(config(req, res)));
  router.all("/v1/optout", (req, res) => counted(optOut(req, res)));
  router.all("/v1/optout/:visitorId", (req, res) => counted(optIn(req, res, req.params.visitorId)));
  return router;
}
