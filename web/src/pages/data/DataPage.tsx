/**
 * Adding data: an export to import, a model, a source, dashboards, indexes. Each is a job that goes on
 * in the server, whether this page is open or not.
 */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { listJobs, type NewJob, startJob } from "@/api/jobs.ts";
import { useRegistry } from "@/api/registry.ts";
import { ServerError } from "@/api/error.ts";
import { useUrlState } from "@/app/urlState.ts";
import { useTitle } from "@/app/useTitle.ts";
import { JobProgress } from "@/components/JobProgress.tsx";
import { Segments } from "@/components/Segments.tsx";
import { Empty, ErrorNote, Reason, Skeleton } from "@/components/Status.tsx";
import css from "./DataPage.module.css";
import { FORMS, type FormKind } from "./jobForms.ts";
import { JobForm } from "./JobForm.tsx";

export default function DataPage() {
  useTitle("Data");
  const [parameters, change] = useUrlState();
  const queries = useQueryClient();
  const { data: registry } = useRegistry();
  const asked = parameters.get("add") as FormKind | null;
  const kind: FormKind = asked !== null && asked in FORMS ? asked : "import";
  const { data: jobs, error, refetch } = useQuery({ queryKey: ["jobs"], queryFn: ({ signal }) => listJobs(signal), staleTime: 0 });
  const [started, setStarted] = useState(0);
  const start = useMutation({
    mutationFn: (job: NewJob) => startJob(job),
    onSuccess: () => {
      setStarted(started + 1);
      void queries.invalidateQueries({ queryKey: ["jobs"] });
    },
  });
  return (
    <div className={`page ${css.page}`}>
      <header>
        <h1>Data</h1>
        <p className="muted">What is added here goes on in the server, and is seen on every page when it is done.</p>
      </header>
      <Segments name="What to add" value={kind} options={Object.entries(FORMS).map(([key, form]) => [key as FormKind, form.name] as const)} onChange={(next) => change({ add: next })} />
      <JobForm key={`${kind}-${started}`} form={FORMS[kind]} registry={registry} isStarting={start.isPending} onStart={(job) => start.mutate(job)} />
      {start.error !== null && <ErrorNote error={start.error} />}
      <section className="stack" aria-labelledby="jobs">
        <h2 id="jobs">Jobs</h2>
        {error instanceof ServerError && error.status === 404 ? (
          <Reason>This server runs no jobs. Add data with the command line: latentdb import, model add, source add, generate.</Reason>
        ) : error ? (
          <ErrorNote error={error} retry={() => void refetch()} />
        ) : jobs === undefined ? (
          <Skeleton lines={3} height={28} />
        ) : jobs.length === 0 ? (
          <Empty title="No job has run since the server started" />
        ) : (
          jobs.map((job) => <JobProgress key={job.id} job={job} />)
        )}
      </section>
    </div>
  );
}
