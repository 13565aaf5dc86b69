/**
 * A job while it runs and after: how far it is, a way to stop it, a way to go on with it.
 */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { cancelJob, getJob, type Job, resumeJob } from "@/api/jobs.ts";
import { formatCount, formatTime } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import css from "./JobProgress.module.css";
import { ErrorNote } from "./Status.tsx";

/** How often a running job is asked how far it is. */
const PAUSE = 700;

const STATES = { running: "running", done: "done", failed: "failed", cancelled: "stopped" } as const;

export function JobProgress({ job: given }: { readonly job: Job }) {
  const queries = useQueryClient();
  const { data: job = given, error } = useQuery({
    queryKey: ["job", given.id],
    queryFn: ({ signal }) => getJob(given.id, signal),
    initialData: given,
    staleTime: 0,
    refetchInterval: ({ state }) => (state.data?.state === "running" ? PAUSE : false),
  });
  const refresh = () => void queries.invalidateQueries({ queryKey: ["job", given.id] });
  const wasRunning = useRef(given.state === "running");
  useEffect(() => {
    if (job.state === "running") wasRunning.current = true;
    else if (wasRunning.current) {
      wasRunning.current = false;
      // What a job added is seen at once, on every page.
      void queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== "job" });
    }
  }, [job.state, queries]);
  const cancel = useMutation({ mutationFn: () => cancelJob(job.id), onSettled: refresh });
  const resume = useMutation({ mutationFn: () => resumeJob(job.id), onSettled: refresh });
  const { progress } = job;
  const share = progress?.total ? Math.min(progress.done / progress.total, 1) : null;
  return (
    <article className={css.job} aria-label={job.title}>
      <header>
        <span className={css[job.state]}>{STATES[job.state]}</span>
        <b className="label-text">{inert(job.title, 160)}</b>
        <span className="muted">{formatTime(job.started_at)}</span>
        <div className={css.actions}>
          {job.state === "running" && (
            <button type="button" className="button small" disabled={cancel.isPending} onClick={() => cancel.mutate()}>
              Stop
            </button>
          )}
          {(job.state === "cancelled" || job.state === "failed") && (
            <button type="button" className="button small" disabled={resume.isPending} onClick={() => resume.mutate()}>
              Go on
            </button>
          )}
        </div>
      </header>
      {job.state === "running" && (
        <progress {...(share === null ? {} : { value: share })} max={1} aria-label={`Progress of ${job.title}`} />
      )}
      {progress && (
        <p className="muted label-text">
          {progress.total !== null && `${formatCount(progress.done)} of ${formatCount(progress.total)} ${progress.unit} `}
          {progress.total === null && progress.done > 0 && `${formatCount(progress.done)} ${progress.unit} `}
          {inert(progress.message, 300)}
        </p>
      )}
      {job.error && <ErrorNote error={new Error([job.error.message, job.error.hint].filter(Boolean).join(". "))} />}
      {error !== null && <ErrorNote error={error} />}
      {cancel.error !== null && <ErrorNote error={cancel.error} />}
      {resume.error !== null && <ErrorNote error={resume.error} />}
    </article>
  );
}
