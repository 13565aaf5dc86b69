/**
 * Runs that this database kept: each link restores one, with its texts.
 */
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { select } from "@/api/sql.ts";
import { formatTime } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import { SAVED_RUNS, type SavedRunRow } from "@/queries/steering.ts";
import css from "./SteerPage.module.css";

export function SavedRuns({ model, count }: { readonly model: string; readonly count: number }) {
  const { data } = useQuery({
    queryKey: ["saved-runs", model, count],
    queryFn: ({ signal }) => select(SAVED_RUNS, [model], signal),
    placeholderData: (before) => before,
  });
  if (data === undefined || data.length === 0) return null;
  return (
    <section className="stack" aria-labelledby="saved-runs">
      <h2 id="saved-runs">Saved runs</h2>
      <ul className={css.runs}>
        {data.map((row) => (
          <li key={row.run_id}>
            <Link to={`/steer?${new URLSearchParams({ saved: row.run_id })}`} title={formatTime(row.created_at)}>
              <span className="label-text">{inert(promptOf(row), 70) || "untitled"}</span>
              <span className="muted">{formatTime(row.created_at)}</span>
            </Link>
          </li>
        ))}
      </ul>
    </section>
  );
}

function promptOf({ request }: SavedRunRow): string {
  try {
    const asked = (typeof request === "string" ? JSON.parse(request) : request) as { prompt?: string; defaultChatMessages?: { content: string }[] };
    return asked.prompt ?? asked.defaultChatMessages?.at(-1)?.content ?? "";
  } catch {
    return "";
  }
}
