// Reads live feeds over /ws: a topic of a topic-routed feed, or the raw data of a plain one. One JSON object a line on stdout. It connects again
// after a drop and goes on where it was. Needs Node 22+ for the native WebSocket class.
//
//   TS_API_KEY=ts_live_… node subscribe.mjs <feedId> [topic…]        HEADWATER_URL (default http://127.0.0.1:7210)
//
// Without TS_API_KEY it gives itself a name only, which is enough for public feeds.
const [feedId, ...topics] = process.argv.slice(2);
if (!feedId) {
  console.error('usage: node subscribe.mjs <feedId> [topic…]');
  process.exit(2);
}
const url = `${(process.env.HEADWATER_URL ?? 'http://127.0.0.1:7210').replace(/^http/, 'ws')}/ws`;
const cursors = new Map();
let waitMs = 500;

function connect() {
  const ws = new WebSocket(url);
  const send = (type, payload) => ws.send(JSON.stringify({ type, payload }));
  const subscribe = () => {
    // From now on every data frame carries a cursor; giving it back after a drop replays what was missed.
    send('resume', {});
    if (topics.length === 0) send('subscribe-feed', { feedId, cursor: cursors.get('') });
    for (const topic of topics) send('subscribe-topic', { feedId, topic, include: ['data'], cursor: cursors.get(topic) });
  };

  ws.addEventListener('open', () => {
    if (process.env.TS_API_KEY) send('authenticate', { apiKey: process.env.TS_API_KEY });
    else send('register-user', { userId: 'feeds-subscriber' });
  });
  ws.addEventListener('message', (event) => {
    const { type, payload, cursor } = JSON.parse(event.data);
    if (type === 'authenticated' || type === 'registration-success') subscribe();
    else if (type === 'topic-data' || type === 'feed-data' || type === 'llm-intelligence') {
      waitMs = 500;
      if (cursor) cursors.set(payload.topic ?? '', cursor);
      process.stdout.write(`${JSON.stringify(payload)}\n`);
    } else if (/error/.test(type)) {
      console.error(`[feeds] ${type}: ${payload.error ?? payload.message}`);
      if (type === 'auth_error') process.exit(1);
    } else console.error(`[feeds] ${type} ${JSON.stringify(payload ?? {})}`);
  });
  ws.addEventListener('error', () => {});
  ws.addEventListener('close', (event) => {
    console.error(`[feeds] closed code=${event.code} reason=${event.reason}, again in ${waitMs} ms`);
    setTimeout(connect, waitMs);
    waitMs = Math.min(waitMs * 2, 30_000);
  });
}
connect();
