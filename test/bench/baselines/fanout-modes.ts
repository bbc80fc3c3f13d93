/** The ways of sending one event to many sockets that B6 compares. */
export const FANOUT_MODES = [
  "stringify per client",
  "shared string",
  "shared Buffer",
  "ready frame",
  "4 frames per write",
  "16 frames per write",
] as const;
export type FanoutMode = (typeof FANOUT_MODES)[number];
