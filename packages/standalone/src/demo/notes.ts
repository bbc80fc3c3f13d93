/** `demo.json` of the data directory: what the demo made once and shows again at later starts. Private to its owner (0600). */
import fs from "node:fs";
import path from "node:path";
import { z } from "zod";
import { writePrivate } from "../data-dir.ts";

export const DemoKeys = z.object({ tenant: z.string(), readKey: z.string(), writeKey: z.string(), freeKey: z.string() });
export type DemoKeys = z.infer<typeof DemoKeys>;

export const DemoAccount = z.object({
  email: z.string(),
  password: z.string(),
  /** Of a key with scope `websocket:*`. */
  socketKey: z.string().optional(),
  /** Feed id by recording. */
  feeds: z.record(z.string(), z.string()),
});
export type DemoAccount = z.infer<typeof DemoAccount>;

const Notes = DemoKeys.partial().extend({
  account: DemoAccount.optional(),
  /** Where the upstream server of the demo listened last. */
  upstreamPort: z.number().int().optional(),
});
export type DemoNotes = z.infer<typeof Notes>;

export interface NoteBook {
  read(): DemoNotes;
  /** Replaces the members given. */
  note(part: DemoNotes): void;
}

export function openNotes(dataDir: string): NoteBook {
  const file = path.join(dataDir, "demo.json");
  const read = (): DemoNotes => (fs.existsSync(file) ? Notes.parse(JSON.parse(fs.readFileSync(file, "utf8"))) : {});
  return { read, note: (part) => writePrivate(file, { ...read(), ...part }) };
}
