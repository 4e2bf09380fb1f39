/** Rows as people read them: on a terminal, and in docs/bench.md. */
import { type Bar, type Comparison, type Row, reaches } from "./row.ts";

/** Three digits that mean something, and no more. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}

export function comparison({ by, value }: Comparison, unit: string): string {
  if (!Number.isFinite(value)) return "–";
  if (by === "ratio") return value.toFixed(2);
  return `${value < 0 ? "−" : "+"}${figure(Math.abs(value))} ${unit}`;
}

export function barText(bar: Bar | null, { by }: Comparison, unit: string): string {
  if (bar === null) return "reported";
  const [words, value] = "least" in bar ? ["at least", bar.least] : ["at most", bar.most];
  return `${words} ${comparison({ by, value }, unit)}`;
}

const HEAD = ["", "Leat", "baseline", "", "Leat to baseline", "bar"] as const;

function cells(row: Row): string[] {
  return [
    row.row,
    figure(row.leat),
    figure(row.baseline),
    row.unit,
    comparison(row.compared, row.unit),
    barText(row.bar, row.compared, row.unit) + (reaches(row) ? "" : ": MISSED"),
  ];
}

/** Aligned columns, and below each row what else was measured. */
export function terminalTable(rows: readonly Row[]): string {
  const lines = [[...HEAD], ...rows.map(cells)];
  const widths = HEAD.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  return lines
    .flatMap((line, n) => {
      const text = line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ");
      const row = rows[n - 1];
      return row === undefined ? [text.trimEnd()] : [text.trimEnd(), ...moreOf(row)];
    })
    .join("\n");
}

function moreOf({ more }: Row): string[] {
  const found = Object.entries(more).map(([name, value]) => `${words(name)} ${figure(value)}`);
  return found.length === 0 ? [] : [`    ${found.join(", ")}`];
}

/** `leatP50Ms` → `leat p50 ms`. */
function words(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** A table of Markdown. */
export function markdownTable(rows: readonly Row[]): string {
  const lines = [
    ["", "Leat", "baseline", "unit", "Leat to baseline", "bar"],
    ["---", "---:", "---:", "---", "---:", "---"],
    ...rows.map(cells),
  ];
  return lines.map((line) => `| ${line.join(" | ")} |`).join("\n");
}

export function markdownMore(rows: readonly Row[]): string {
  return rows
    .filter(({ more }) => Object.keys(more).length > 0)
    .map(
      ({ row, more }) =>
        `- ${row}: ${Object.entries(more)
          .map(([name, value]) => `${words(name)} ${figure(value)}`)
          .join(", ")}`,
    )
    .join("\n");
}
