/** What the first start prints: everything a newcomer needs to post an event and to see it. */
import type { DemoKeys } from "./demo/demo.ts";

export function banner(url: string, keys: DemoKeys | undefined): string {
  if (!keys) {
    return ["", "  make a key:   npx headwater keys create --tenant acme --plan scale --scopes signals:read,events:write", ""].join("\n");
  }
  const feed = `${url.replace(/^http/, "ws")}/signals/stream`;
  const event = {
    events: [
      {
        type: "pageview",
        visitorId: "vis_you",
        sessionId: "sess_1",
        page: { url: "https://shop.example/pricing", path: "/pricing", title: "Pricing" },
        device: { userAgent: "Mozilla/5.0 (X11; Linux x64) Firefox/140.0", viewport: { width: 1280, height: 800 } },
      },
    ],
  };
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
      -d '${JSON.stringify(event)}'

  look inside:  npx headwater status · npx headwater tap signals --follow · npx headwater doctor
`;
}
