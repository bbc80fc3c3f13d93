/** Public surface of the process shell. */
export { listenAdmin } from "./admin-server.ts";
export { createClientAddress, createClientScheme } from "./client-address.ts";
export { type Clock, systemClock } from "./clock.ts";
export { ConfigError, type Env, envFlag, envList, envNumber, parseEnv } from "./env.ts";
export { type ErrorExtra, errorBody, requestIdOf, sendError, sendErrorFor } from "./errors-http.ts";
export { asksForWebSocket, type HttpServer, listenHttp, rejectUpgrade } from "./http-server.ts";
export { createLogger, type Logger, redactUrl } from "./logger.ts";
export { privacyKeyOf } from "./privacy-key.ts";
export { instanceIdOf, parseProcessEnv, ProcessEnv, secretsOf } from "./process-config.ts";
export { ResourceStack } from "./resource-stack.ts";
export { publicHealth, type SystemHealth, systemHealth } from "./public-health.ts";
export { runService } from "./run-service.ts";
export { CannotUnseal, createSealer, type Sealer } from "./sealed-box.ts";
export { combineHealth, type Deps, type DirectHandler, type HealthReport, type Secrets, type Service } from "./service.ts";
