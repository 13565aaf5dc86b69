/**
 * The lines of `EXPLAIN` as a tree: what is indented belongs to what stands above it.
 */
export interface PlanNode {
  /** The operator: "AggregateExec". */
  readonly name: string;
  /** What it is told: the rest of the line. */
  readonly detail: string;
  readonly children: readonly PlanNode[];
}

interface Growing {
  name: string;
  detail: string;
  children: Growing[];
  indent: number;
}

export function planTree(lines: readonly string[]): readonly PlanNode[] {
  const root: Growing = { name: "", detail: "", children: [], indent: -1 };
  const open: Growing[] = [root];
  for (const line of lines) {
    const text = line.trim();
    if (text === "") continue;
    const indent = line.length - line.trimStart().length;
    while ((open.at(-1)?.indent ?? -1) >= indent && open.length > 1) open.pop();
    const node: Growing = { ...parts(text), children: [], indent };
    (open.at(-1) ?? root).children.push(node);
    open.push(node);
  }
  return root.children;
}

function parts(text: string): { name: string; detail: string } {
  const match = /^([A-Za-z_ ]+?)(?::\s*|\s+(?=[a-z_]+=)|$)(.*)$/s.exec(text);
  return match === null ? { name: text, detail: "" } : { name: match[1] ?? text, detail: match[2] ?? "" };
}
