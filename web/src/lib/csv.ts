/**
 * Rows as CSV (RFC 4180). Lists and objects are JSON; null is an empty field. A text that a spreadsheet
 * would take for a formula gets an apostrophe in front: labels come from outside.
 */
export function toCsv(columns: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const lines = [columns.map(text).join(",")];
  for (const row of rows) lines.push(row.map(field).join(","));
  return `${lines.join("\r\n")}\r\n`;
}

function field(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value === "string") return text(/^[=+\-@\t\r]/.test(value) ? `'${value}` : value);
  return text(JSON.stringify(value));
}

function text(value: string): string {
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}
