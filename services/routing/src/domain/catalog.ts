/** Fixed content of the marketplace: categories everybody has, and ready-made feeds to start from. Tests: ../marketplace-settings.int.test.ts. */
import type { Category, FeedExample } from "@headwater/protocol";

export const GLOBAL_CATEGORIES: readonly Category[] = [
  ["crypto", "Crypto"],
  ["stocks", "Stocks"],
  ["forex", "Forex"],
  ["commodities", "Commodities"],
  ["custom", "Custom"],
  ["finance", "Finance"],
  ["technology", "Technology"],
  ["weather", "Weather"],
  ["network", "Network"],
  ["iot", "IoT"],
].map(([key = "", label = ""]) => ({ key, label, scope: "global" }));

const websocket = { connectionType: "websocket", enableTopicRouting: true } as const;

export const FEED_EXAMPLES: readonly FeedExample[] = [
  {
    ...websocket,
    name: "Coinbase ticker",
    description: "Prices of two trading pairs, one topic per pair",
    url: "wss://ws-feed.exchange.coinbase.com",
    category: "crypto",
    connectionMessages: ['{"type":"subscribe","product_ids":["BTC-USD","ETH-USD"],"channels":["ticker"]}'],
    topicField: "product_id",
  },
  {
    ...websocket,
    name: "Binance tickers",
    description: "All trading pairs in batches, one topic per pair",
    url: "wss://stream.binance.com:9443/ws/!ticker@arr",
    category: "crypto",
    connectionMessages: ['{"method":"SUBSCRIBE","params":["btcusdt@ticker","ethusdt@ticker"],"id":1}'],
    topicField: "s",
  },
  {
    ...websocket,
    name: "Kraken trades",
    description: "Trades of one pair; the pair is the last element of each message",
    url: "wss://ws.kraken.com",
    category: "crypto",
    connectionMessages: ['{"event":"subscribe","pair":["XBT/USD"],"subscription":{"name":"trade"}}'],
    topicField: "[-1]",
  },
  {
    ...websocket,
    name: "RIPE RIS Live BGP",
    description: "Routing announcements of the internet, one topic per origin network",
    url: "wss://ris-live.ripe.net/v1/ws/",
    category: "network",
    connectionMessages: ['{"type":"ris_subscribe","data":{"origin":"2856"}}'],
    topicField: "data.path[-1]",
  },
];
