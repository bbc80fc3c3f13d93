/** The help texts: one block per command, shown by `--help` and beside every usage error. */

export const USAGE = `headwater <command> [options]

  up [options]                 start the system here (same as npm start; up --help lists its options)
  status                       services, instances, lanes and their owners, lag, streams
  doctor                       why does it not start; how many hours the disk budget lasts
  tenants list | create | set-plan
  keys create | list | revoke
  tap <what>                   look at events inside: tap signals --tenant acme --follow
  feed                         subscribe to the Signals Feed as a client would
  replay <family>              fold the whole log of the lanes again and compare with their live state
  rebuild <projection>         derive again what can be derived
  bench                        run the benchmarks (same as npm run bench)

Every command takes --json (one JSON document instead of a table), --port <n> (default: BACKEND_PORT, PORT, 7210) and --help.
A system elsewhere: HEADWATER_URL with HEADWATER_ADMIN_TOKEN, and NATS_URL with NATS_USER and NATS_PASSWORD.
Exit code: 0 done, 1 failed, 2 wrong usage.
`;

const COMMAND_USAGE: Record<string, string> = {
  status: `headwater status [--json] [--port <n>]
`,
  doctor: `headwater doctor [--data-dir <dir>] [--json] [--port <n>]
  --data-dir <dir>   where data lives (default: that of the running system, else .headwater)
`,
  tenants: `headwater tenants list
headwater tenants create --tenant <slug> [--plan <plan>] [--name <text>] [--domains <host,*.host,…>]
headwater tenants set-plan --tenant <slug> --plan <plan>
  plans: free, builder, scale, network, custom
`,
  keys: `headwater keys create --tenant <slug> --scopes <scope,…> [options]
  --plan <plan>          plan of the tenant when it does not exist yet (default: free)
  --type <type>          browser (default), mobile or server
  --prefix <prefix>      cs_live, cs_test, cs_mob_live, cs_srv_live, ts_live or hw_live
  --domains <host,…>     only from these hosts: example.com, *.example.com (default: those of the tenant's sites)
  --name <text>          shown in lists
  --expires <time>       ISO time, or 30d, 12h from now
headwater keys list --tenant <slug>
headwater keys revoke --key <key or id>
`,
  tap: `headwater tap <what> [options]
  <what>                 signals, visits, feeds, topics, analyses, registry, erasures, consents, dlq, or a subject such as 'visits.3' or 'registry.key.>'
  --since <time>         5m, 2h or an ISO time: start there
  --follow               go on with what comes (without --since: only what comes)
  --limit <n>            end after n events
  --tenant <slug or id>  only events of this tenant
  --class <class>        signals: human, suspicious, likely_bot, bot
  --type <type>          pageview, click, scroll, form, custom, identify
  --visitor <id>         only this visitor
  --page <prefix>        only pages whose path starts so
  --feed <id>            feeds, topics, analyses: only this feed
  --topic <topic>        topics, analyses: only this topic
  --json                 one JSON object a line
Without --since and --follow: the last minute.
`,
  feed: `headwater feed --key <key> [options]
  --key <key>            a key with signals:read (or HEADWATER_KEY)
  --url <ws url>         default: /v1/signals/stream of the running system
  --include <a,b>        additional fields: cursor, ids, time, event, labels, explain, locale, origin
  --filter <name=value>  a filter of the feed, e.g. classes=bot; may be repeated
  --since <time>         5m, 2h: start in the past
  --limit <n>            end after n events
One JSON object a line on stdout; reconnects with its cursor until Ctrl-C.
`,
  replay: `headwater replay <family> [--lane <n>]
  <family>               visits
  --lane <n>             only this lane
The owner of each lane folds its stored input from the beginning, without emitting, and compares the result with its live state.
A log whose beginning was purged proves nothing and is told as such. Exit 1 when a state differs.
`,
  rebuild: `headwater rebuild <projection>
  <projection>           registry: what tenants, sites and keys every service knows, derived from the database of auth
`,
};

export function usageOf(command: string | undefined): string {
  return (command !== undefined && COMMAND_USAGE[command]) || USAGE;
}
