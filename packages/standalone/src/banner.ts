/** What the first start prints: everything a newcomer needs to post an event and to see it. */
import { DEMO_TOPICS } from "./demo/feeds.ts";
import type { DemoAccount } from "./demo/notes.ts";
import type { Standalone } from "./start.ts";

export function banner(url: string, keys: Standalone["demo"]): string {
  if (!keys) {
    return ["", "  make a key:   npx headwater keys create --tenant acme --plan scale --scopes signals:read,events:write", ""].join("\n");
  }
  const feed = `${url.replace(/^http/, "ws")}/signals/stream`;
  const event = JSON.stringify({
    events: [
      {
        type: "pageview",
        visitorId: "vis_you",
        sessionId: "sess_1",
        timestamp: 0,
        page: { url: "https://shop.example/pricing", path: "/pricing", title: "Pricing" },
        device: {
          userAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
          viewport: { width: 1280, height: 800 },
        },
      },
    ],
    // The shell fills in the time of the post.
  }).replace('"timestamp":0', `"timestamp":'$(date +%s)'000`);
  return `
  feed          ${feed}
  demo tenant   ${keys.tenant} (plan scale)
  read key      ${keys.readKey}
  write key     ${keys.writeKey}
  free key      ${keys.freeKey} (tenant demo-free: shows what a plan gate answers)

  watch the feed (one JSON object a line):
    npx headwater feed --url ${feed} --key ${keys.readKey}

  post an event of your own:
    curl -sS ${url}/v1/events -H 'X-API-Key: ${keys.writeKey}' -H 'Content-Type: application/json' \\
      -d '${event}'
${keys.account ? feedLines(url, keys.account) : ""}
  look inside:  npx headwater status · npx headwater tap signals --follow · npx headwater doctor
`;
}

/** The journey of live feeds: what is there, and one command that shows it. */
function feedLines(url: string, account: DemoAccount): string {
  const shown = Object.entries(DEMO_TOPICS).map(([recording, topic]) => ({ id: account.feeds[recording] ?? "", topic, recording }));
  const [first] = shown;
  return `
  live feeds    ${url.replace(/^http/, "ws")}/ws   (REST: ${url}/docs)
  demo login    ${account.email} ${account.password}
  socket key    ${account.socketKey ?? ""}
${shown.map(({ id, topic, recording }) => `  feed          ${id} ${recording} (topics like ${topic})`).join("\n")}

  watch one topic of a feed (Node 22 or newer):
    TS_API_KEY=${account.socketKey ?? ""} HEADWATER_URL=${url} \\
      node docs/examples/feeds-subscriber/subscribe.mjs ${first?.id ?? ""} ${first?.topic ?? ""}
`;
}
