/** Random ids from the NATS client's generator (62^22, fast): consumer names, batch ids. */
import { nuid } from "@nats-io/transport-node";

export function randomId(): string {
  return nuid.next();
}
