// Promises nobody waits for: a rejected one ends the process far from its cause. oxlint needs a package of its own for this rule, so it is here.
// Reads the tree through the classic TypeScript API, which TypeScript 7 no longer has: it borrows the compiler of dependency-cruiser.
// Plain JavaScript, because the types of that compiler are not the ones this repository is checked with. Tests: floating-promises.test.ts.
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ts = createRequire(fileURLToPath(import.meta.resolve("dependency-cruiser")))("typescript");
const ROOT = path.resolve(import.meta.dirname, "../..");

/**
 * @param {string} configFile path of a tsconfig.json
 * @returns {{files: number, findings: string[]}} findings as `file:line text`, sorted
 */
export function findFloatingPromises(configFile) {
  const base = path.dirname(configFile);
  const { config } = ts.readConfigFile(configFile, ts.sys.readFile);
  const { fileNames, options } = ts.parseJsonConfigFileContent(config, ts.sys, base);
  const program = ts.createProgram(fileNames, options);
  const checker = program.getTypeChecker();
  const findings = [];
  for (const file of program.getSourceFiles()) {
    if (file.isDeclarationFile || file.fileName.includes("/node_modules/")) continue;
    visit(file, (node) => {
      if (!ts.isExpressionStatement(node) || isHandled(checker, node.expression)) return;
      const { line } = file.getLineAndCharacterOfPosition(node.getStart(file));
      findings.push(`${path.relative(base, file.fileName)}:${line + 1} ${node.getText(file).split("\n")[0].slice(0, 100)}`);
    });
  }
  return { files: fileNames.length, findings: findings.toSorted() };
}

function visit(node, each) {
  each(node);
  ts.forEachChild(node, (child) => visit(child, each));
}

/** Is the value of this expression statement something that may be thrown away? */
function isHandled(checker, expression) {
  const node = ts.skipParentheses(expression);
  // `void promise` says: it handles its own errors.
  if (ts.isVoidExpression(node) || ts.isAwaitExpression(node)) return true;
  if (ts.isBinaryExpression(node)) {
    const logical = [ts.SyntaxKind.AmpersandAmpersandToken, ts.SyntaxKind.BarBarToken, ts.SyntaxKind.QuestionQuestionToken];
    // An assignment keeps the promise; a && f() throws the promise of f away.
    return logical.includes(node.operatorToken.kind) ? isHandled(checker, node.right) : true;
  }
  if (ts.isConditionalExpression(node)) return isHandled(checker, node.whenTrue) && isHandled(checker, node.whenFalse);
  if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
    const method = node.expression.name.text;
    if (method === "catch" && node.arguments.length > 0) return true;
    if (method === "then" && node.arguments.length > 1) return true;
    if (method === "finally" && isThenable(checker, node)) return isHandled(checker, node.expression.expression);
  }
  return !isThenable(checker, node);
}

function isThenable(checker, node) {
  const type = checker.getTypeAtLocation(node);
  const parts = type.isUnion() ? type.types : [type];
  return parts.some((part) => {
    const then = checker.getPropertyOfType(part, "then");
    return then !== undefined && checker.getTypeOfSymbol(then).getCallSignatures().length > 0;
  });
}

if (import.meta.main) {
  const { files, findings } = findFloatingPromises(path.join(ROOT, "tsconfig.json"));
  for (const finding of findings) console.error(finding);
  console.log(`${files} files, ${findings.length} promises nobody waits for (await it, or handle its error and say void)`);
  if (files === 0 || findings.length > 0) process.exitCode = 1;
}
