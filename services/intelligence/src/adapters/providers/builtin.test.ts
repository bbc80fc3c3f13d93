import { expect, it } from "vitest";
import { builtin } from "./builtin.ts";

const provider = builtin.configure({})?.open({ fetch, now: () => 0 });
const request = {
  system: "",
  messages: [],
  maxTokens: 1,
  temperature: 0,
  signal: new AbortController().signal,
  material: { feedName: "Weather", question: "?", entries: [{ ts: 1, json: '{"temp":20.5}' }] },
};

it("answers by sentences, costs nothing and says who it is", async () => {
  const pieces: string[] = [];
  const completion = await provider?.complete({ ...request, onToken: (piece) => pieces.push(piece) });
  expect(pieces).toEqual([
    "Builtin analysis of Weather (statistics, no language model).",
    " The window holds 1 message.",
    " temp is 20.5 in the only message that has it.",
  ]);
  expect(completion).toEqual({
    text: pieces.join(""),
    usage: { inputTokens: 0, outputTokens: 0, totalTokens: 0, estimated: false },
    model: "builtin-1",
  });
});

it("can be turned off", () => {
  expect(builtin.configure({ LLM_BUILTIN: "off" })).toBeUndefined();
});

it("does not answer who left", async () => {
  await expect(provider?.complete({ ...request, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "cancelled" });
});
