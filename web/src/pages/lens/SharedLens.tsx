/**
 * A reading that somebody shared: what the model said then, whether it is here now or not.
 */
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { type LensKind, sharedReading } from "@/api/lens.ts";
import { useUrlState } from "@/app/urlState.ts";
import { useTitle } from "@/app/useTitle.ts";
import { Segments } from "@/components/Segments.tsx";
import { ErrorNote, Skeleton } from "@/components/Status.tsx";
import { formatTime } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import { Grid } from "./Grid.tsx";
import css from "./LensPage.module.css";
import { gridOfReading } from "./lensGrid.ts";

const NAMES: Readonly<Record<LensKind, string>> = { LOGIT_LENS: "Logit", JACOBIAN_LENS: "Jacobian" };

export function SharedLens({ id }: { readonly id: string }) {
  useTitle("Shared reading");
  const [parameters, change] = useUrlState();
  const { data, error } = useQuery({ queryKey: ["shared lens", id], queryFn: ({ signal }) => sharedReading(id, signal), staleTime: Infinity });
  const asked = parameters.get("lens") === "jacobian" ? "JACOBIAN_LENS" : "LOGIT_LENS";
  const kind = data?.meta.types.includes(asked) === false ? (data.meta.types[0] ?? asked) : asked;
  return (
    <div className="page">
      <header className={css.head}>
        <h1>Shared reading</h1>
        {data && (
          <p className="muted">
            {inert(data.description ?? "What each layer would have said next", 600)} · {inert(data.modelId)} · {formatTime(data.exportedAt)}
          </p>
        )}
      </header>
      {error && <ErrorNote error={error} />}
      {data === undefined && !error && <Skeleton lines={8} height={28} />}
      {data && (
        <>
          <div className={css.actions}>
            <Segments
              name="Lens"
              value={kind}
              options={data.meta.types.map((each) => [each, NAMES[each]] as const)}
              onChange={(next) => change({ lens: next === "LOGIT_LENS" ? null : "jacobian" })}
            />
            {data.prompt !== null && (
              <Link className="button quiet small" to={`/lens?${new URLSearchParams({ model: data.modelId, q: data.prompt }).toString()}`}>
                Read it anew
              </Link>
            )}
          </div>
          <Grid grid={gridOfReading(data, kind)} />
        </>
      )}
    </div>
  );
}
