/** Types of floating-promises.mjs. */
export function findFloatingPromises(configFile: string): { files: number; findings: string[] };
