/** What comes back from the server, put into the shapes that pages draw. */
import { describe, expect, test } from "vitest";
import type { Activation } from "@/api/feature.ts";
import { byInterval, textAround, windowAround } from "@/lib/activations.ts";
import { toCsv } from "@/lib/csv.ts";
import { planTree } from "@/lib/planTree.ts";
import { RowStream } from "@/lib/rowStream.ts";
import { chartChoice } from "@/pages/sql/chartChoice.ts";
import { isLongWork, isQuery, isRepeatable } from "@/pages/sql/runStatement.ts";
import { gathered, sorted } from "@/pages/search/tokenFeatures.ts";

const DOCUMENT = JSON.stringify({ columns: [{ name: "a", type: "text" }], rows: [["],\"rows\":["], ["\\\"]"], [[1, { x: "}" }]], ["é😀"]], row_count: 4 });
const ROWS = [['],"rows":['], ['\\"]'], [[1, { x: "}" }]], ["é😀"]];

function readIn(pieces: readonly string[]): { rows: unknown[][]; stream: RowStream } {
  const stream = new RowStream();
  const rows = pieces.flatMap((piece) => stream.push(piece));
  stream.end();
  return { rows, stream };
}

describe("rows that arrive in pieces", () => {
  test("are the same wherever the pieces are cut", () => {
    for (let size = 1; size <= DOCUMENT.length; size += 1) {
      const pieces = DOCUMENT.match(new RegExp(`[\\s\\S]{1,${size}}`, "g")) ?? [];
      const { rows, stream } = readIn(pieces);
      expect(rows, `pieces of ${size}`).toEqual(ROWS);
      expect(stream.columns).toEqual([{ name: "a", type: "text" }]);
    }
  });
  test("may be none", () => {
    expect(readIn(['{"columns":[{"name":"a","type":"text"}],"rows":[],"row_count":0}']).rows).toEqual([]);
  });
  test("that break off, or end in an error, are a failure", () => {
    expect(() => readIn(['{"columns":[{"name":"a","type":"text"}],"rows":[[1],[2'])).toThrow("broke off");
    expect(() => readIn(['{"columns":[],"rows":[[1]'])).toThrow("broke off");
    expect(() => readIn(['{"columns":[{"name":"a","type":"text"}],"rows":[[1]],"error":{"message":"out of memory"}'])).toThrow("out of memory");
  });
  test("what is no table is kept as it is", () => {
    expect(readIn(['{"command":"INSERT","rows_aff', 'ected":2}']).stream.outcome).toEqual({ command: "INSERT", rows_affected: 2 });
  });
});

describe("statements", () => {
  test("from a link run only if they read", () => {
    for (const sql of ["SELECT 1", "-- x\n select 1", "/* a */ (VALUES (1))", "explain select 1", "WITH x AS (SELECT 1) TABLE x"]) expect(isQuery(sql), sql).toBe(true);
    for (const sql of ["DROP TABLE x", "call f()", "-- select 1", "selectx", ""]) expect(isQuery(sql), sql).toBe(false);
  });

  test("that take long are jobs, and those that only read can be run again", () => {
    for (const sql of [" -- go\nCALL optimize('x')", "create index on t using text (x)"]) expect(isLongWork(sql), sql).toBe(true);
    for (const sql of ["CREATE TABLE t (index int)", "SELECT 1", "callx()"]) expect(isLongWork(sql), sql).toBe(false);
    for (const sql of ["SELECT 1", "WITH x AS (SELECT 1) TABLE x"]) expect(isRepeatable(sql), sql).toBe(true);
    for (const sql of ["WITH x AS (SELECT 1) INSERT INTO t TABLE x", "EXPLAIN SELECT 1", "CALL f()"]) expect(isRepeatable(sql), sql).toBe(false);
  });
});

describe("plans", () => {
  test("become trees by their indentation", () => {
    const tree = planTree(["logical plan", "  Limit: fetch=5", "    TableScan: features projection=[index]", "physical plan", "  AggregateExec: mode=Partial", "    A", "    B"]);
    expect(tree.map(({ name }) => name)).toEqual(["logical plan", "physical plan"]);
    expect(tree[0]?.children[0]?.children[0]).toMatchObject({ name: "TableScan", detail: "features projection=[index]" });
    expect(tree[1]?.children[0]?.children.map(({ name }) => name)).toEqual(["A", "B"]);
  });
});

const example = (maxValue: number, bounds: [number, number] | null, tokens: string[], id: string): Activation =>
  ({ id, tokens, values: [], maxValue, maxValueTokenIndex: 0, binMin: bounds?.[0] ?? -1, binMax: bounds?.[1] ?? maxValue, binContains: 0.1 }) as unknown as Activation;

describe("examples", () => {
  test("come strongest first, then interval by interval from above, with repeats folded", () => {
    const intervals = byInterval([
      example(1, [0, 2], ["low"], "1"),
      example(9, null, ["top"], "2"),
      example(9, null, ["top"], "3"),
      example(3, [2, 4], ["mid"], "4"),
      example(8, null, ["top"], "5"),
    ]);
    expect(intervals.map(({ bounds }) => bounds)).toEqual([null, [2, 4], [0, 2]]);
    expect(intervals[0]?.examples.map(({ activation, duplicates }) => [activation.maxValue, duplicates.length])).toEqual([
      [9, 1],
      [8, 0],
    ]);
  });
  test("show as much text as asked around the strongest token", () => {
    expect(windowAround(3, 100, "stacked")).toEqual([0, 9]);
    expect(windowAround(50, 100, "snippet")).toEqual([34, 67]);
    expect(windowAround(50, 100, "full")).toEqual([0, 100]);
  });
  test("give their text without what begins it", () => {
    expect(textAround(example(1, null, ["<|endoftext|>", "a", " b"], "1"))).toBe("a b");
  });
});

describe("CSV", () => {
  test("quotes what needs it, and no label becomes a formula", () => {
    const csv = toCsv(["a", 'b"c'], [[1, null], ["x,y", [1, "z"]], ["=HYPERLINK(1)", true], ["line\nbreak", -2]]);
    expect(csv).toBe('a,"b""c"\r\n1,\r\n"x,y","[1,""z""]"\r\n\'=HYPERLINK(1),true\r\n"line\nbreak",-2\r\n');
  });
});

describe("charts", () => {
  const columns = [
    { name: "source_id", type: "text" },
    { name: "density", type: "double precision" },
    { name: "n", type: "bigint" },
  ];
  test("draw what the address says, and what fits where it says nothing", () => {
    expect(chartChoice(columns, new URLSearchParams())).toEqual({ x: "source_id", y: "n", colour: null, mark: "bar" });
    expect(chartChoice(columns, new URLSearchParams("x=density&y=n&colour=source_id&mark=line"))).toEqual({ x: "density", y: "n", colour: "source_id", mark: "line" });
  });
  test("never draw a column that is not there", () => {
    expect(chartChoice(columns, new URLSearchParams("x=nope&mark=pie"))).toMatchObject({ x: "source_id", mark: "bar" });
    expect(chartChoice([], new URLSearchParams())).toMatchObject({ x: null, y: null });
    expect(chartChoice(columns, new URLSearchParams("x=density&y=-"))).toMatchObject({ mark: "histogram" });
  });
});

describe("features token by token", () => {
  const found = gathered([
    { position: 1, token: "a", topFeatures: [{ featureIndex: 7, activationValue: 2 }, { featureIndex: 9, activationValue: 5, feature: { modelId: "m", layer: "s", index: "9", frac_nonzero: 0.001, explanations: [] } }], isSpecial: false },
    { position: 2, token: "b", topFeatures: [{ featureIndex: 7, activationValue: 3 }], isSpecial: false },
  ]);
  test("are counted and sorted", () => {
    expect(sorted(found, "frequency", null).map(({ index }) => index)).toEqual([7, 9]);
    expect(sorted(found, "max", null).map(({ index }) => index)).toEqual([9, 7]);
    expect(sorted(found, "density", null).map(({ index }) => index)).toEqual([9, 7]);
  });
});
