/**
 * Reads the server's answer to a statement while it arrives: columns, then rows in pieces.
 *
 * The document is `{"columns":[…],"rows":[[…],[…],…],"row_count":n}`. Rows are cut where brackets close,
 * strings aside, and whole ones are parsed at once. A document that does not close, or that ends in an
 * `error`, is a failure however many rows came. Anything else than a table is kept as it is.
 */
import type { Column } from "@/api/sql.ts";

const ROWS = '],"rows":[';

export class RowStream {
  columns: readonly Column[] | null = null;
  /** What came instead of a table: what a statement did. */
  outcome: Record<string, unknown> | null = null;
  private text = "";
  private phase: "head" | "rows" | "tail" = "head";
  private depth = 0;
  private isInString = false;
  private isEscaped = false;
  private scanned = 0;

  /** Takes the next piece of the document; gives the rows that it completes. */
  push(piece: string): unknown[][] {
    this.text += piece;
    if (this.phase === "head" && !this.readHead()) return [];
    return this.phase === "rows" ? this.readRows() : [];
  }

  /** Takes the end of the document; throws what the server said went wrong. */
  end(): void {
    if (this.phase === "head") {
      const outcome: unknown = JSON.parse(this.text);
      if (typeof outcome === "object" && outcome !== null) this.outcome = outcome as Record<string, unknown>;
      return;
    }
    if (this.phase === "rows") throw new Error("the answer broke off");
    const error = /^\],"error":(\{[\s\S]*\})\s*$/.exec(this.text);
    if (error?.[1] !== undefined) throw new StatementError(JSON.parse(error[1]) as Record<string, unknown>);
    if (!/"row_count":\d+\}\s*$/.test(this.text)) throw new Error("the answer broke off");
  }

  private readHead(): boolean {
    const at = this.text.indexOf(ROWS);
    if (at < 0 || !this.text.startsWith('{"columns":')) return false;
    const head = JSON.parse(`${this.text.slice(0, at + 1)}}`) as { columns: Column[] };
    this.columns = head.columns;
    this.text = this.text.slice(at + ROWS.length);
    this.phase = "rows";
    return true;
  }

  private readRows(): unknown[][] {
    let first = -1;
    let last = -1;
    let at = this.scanned;
    for (; at < this.text.length; at += 1) {
      const code = this.text.charCodeAt(at);
      if (this.isInString) {
        if (this.isEscaped) this.isEscaped = false;
        else if (code === 92) this.isEscaped = true;
        else if (code === 34) this.isInString = false;
      } else if (code === 34) {
        this.isInString = true;
      } else if (code === 91 || code === 123) {
        if (this.depth === 0 && first < 0) first = at;
        this.depth += 1;
      } else if (code === 93 || code === 125) {
        if (this.depth === 0) {
          this.phase = "tail";
          break;
        }
        this.depth -= 1;
        if (this.depth === 0) last = at;
      }
    }
    return this.take(first, last, at);
  }

  /** Parses the whole rows between `first` and `last` and keeps what comes after them. */
  private take(first: number, last: number, scanned: number): unknown[][] {
    // A row that began in an earlier piece begins where the text does.
    const begin = first < 0 || last < first || this.scanned > 0 ? this.text.indexOf("[") : first;
    const rows = last < 0 ? [] : (JSON.parse(`[${this.text.slice(begin, last + 1)}]`) as unknown[][]);
    const kept = this.phase === "tail" ? scanned : last < 0 ? 0 : last + 1;
    this.text = this.text.slice(kept);
    this.scanned = this.phase === "tail" ? 0 : scanned - kept;
    return rows;
  }
}

/** A statement that failed while its rows were sent. */
export class StatementError extends Error {
  readonly body: Record<string, unknown>;

  constructor(body: Record<string, unknown>) {
    super(typeof body.message === "string" ? body.message : "the statement failed");
    this.body = body;
  }
}
