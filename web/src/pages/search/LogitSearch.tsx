/**
 * Search by a token that features promote more than any other.
 */
import { useQuery } from "@tanstack/react-query";
import { select } from "@/api/sql.ts";
import { useUrlState } from "@/app/urlState.ts";
import { Empty, ErrorNote, Skeleton } from "@/components/Status.tsx";
import { formatLogit, plural } from "@/lib/format.ts";
import { PROMOTES_TOKEN } from "@/queries/features.ts";
import { Hit } from "./Hit.tsx";
import css from "./SearchPage.module.css";
import { WordForm } from "./WordForm.tsx";

export function LogitSearch() {
  const [parameters] = useUrlState();
  const token = parameters.get("q") ?? "";
  const { data, error, isFetching, refetch } = useQuery({
    queryKey: ["promotes", token],
    queryFn: ({ signal }) => select(PROMOTES_TOKEN, [token, ` ${token.trimStart()}`], signal),
    enabled: token !== "",
  });
  return (
    <>
      <WordForm label="Token" placeholder="A token, with or without a blank before it" isToken shortest={1} />
      {error ? (
        <ErrorNote error={error} retry={() => void refetch()} />
      ) : token === "" ? (
        <Empty title="Which features make a token more likely than any other?" />
      ) : data === undefined ? (
        <Skeleton lines={6} height={26} />
      ) : data.length === 0 ? (
        <Empty title="No feature promotes this token most" />
      ) : (
        <section aria-label="Results" aria-busy={isFetching}>
          <p className={css.status}>{plural(data.length, "feature")}</p>
          <ul className={css.hits}>
            {data.map((row) => (
              <Hit
                key={`${row.model_id}/${row.source_id}/${row.index}`}
                address={{ model: row.model_id, source: row.source_id, index: row.index }}
                label={null}
                promotes={row.promotes}
                measure={
                  <>
                    {formatLogit(row.logit)}
                    <small>logit</small>
                  </>
                }
              />
            ))}
          </ul>
        </section>
      )}
    </>
  );
}
