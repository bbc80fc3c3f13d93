/** What a question is about: the feed, the window of its newest messages and the question itself, before it becomes a prompt. Shapes only. */

/** One message of a window. `json` is the upstream's source text of one JSON value; a text message is `{"raw":"…"}`. */
export interface WindowEntry {
  /** Receive time, ms. Beside the message, never inside it. */
  ts: number;
  json: string;
  /** Only when entries of several topics meet in one window. */
  topic?: string | undefined;
}

export interface Material {
  feedName: string;
  topic?: string | undefined;
  question: string;
  /** Newest first. */
  entries: readonly WindowEntry[];
}
