/** One thing the doctor looked at. `fail` stops a start or means a part is down, `warn` will hurt later. */
export interface Finding {
  name: string;
  level: "ok" | "warn" | "fail";
  detail: string;
  /** What to do about it. */
  hint?: string;
}

export const ok = (name: string, detail: string): Finding => ({ name, level: "ok", detail });
export const warn = (name: string, detail: string, hint?: string): Finding => ({ name, level: "warn", detail, ...(hint ? { hint } : {}) });
export const fail = (name: string, detail: string, hint?: string): Finding => ({ name, level: "fail", detail, ...(hint ? { hint } : {}) });
