/**
 * The HTTP API, to read and to try: made from the document that the server gives of itself.
 */
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { getOpenApi, type OpenApi, type Operation } from "@/api/openapi.ts";
import { useUrlState } from "@/app/urlState.ts";
import { useTitle } from "@/app/useTitle.ts";
import { Empty, ErrorNote, Skeleton } from "@/components/Status.tsx";
import css from "./ApiReferencePage.module.css";
import { OperationView } from "./OperationView.tsx";

export interface Route {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

export default function ApiReferencePage() {
  useTitle("API");
  const { data, error, refetch } = useQuery({ queryKey: ["openapi"], queryFn: ({ signal }) => getOpenApi(signal) });
  return (
    <div className="page">
      {error ? (
        <>
          <h1>API</h1>
          <ErrorNote error={error} retry={() => void refetch()} />
        </>
      ) : data === undefined ? (
        <Skeleton lines={14} height={22} />
      ) : (
        <Reference document={data} />
      )}
    </div>
  );
}

const METHODS = ["get", "post", "put", "patch", "delete"];

function Reference({ document }: { readonly document: OpenApi }) {
  const [parameters, change] = useUrlState();
  const groups = useMemo(() => grouped(document), [document]);
  const routes = groups.flatMap(([, members]) => members);
  const chosen = routes.find((route) => route.id === parameters.get("route")) ?? routes[0];
  return (
    <>
      <header>
        <h1>{document.info.title}</h1>
        <p className="muted">
          Version {document.info.version}. <a className="link" href="/openapi.json">openapi.json</a>
        </p>
      </header>
      <div className={css.reference}>
        <nav aria-label="Routes" className={css.routes}>
          {groups.map(([tag, members]) => (
            <div key={tag}>
              <h2>{tag}</h2>
              <ul>
                {members.map((route) => (
                  <li key={route.id}>
                    <button type="button" aria-current={route.id === chosen?.id ? "true" : undefined} onClick={() => change({ route: route.id }, { replace: false })}>
                      <span className={css.method}>{route.method}</span>
                      <span className={css.path}>{route.path}</span>
                    </button>
                  </li>
                ))}
              </ul>
            </div>
          ))}
        </nav>
        {chosen === undefined ? <Empty title="The server describes no routes" /> : <OperationView key={chosen.id} document={document} route={chosen} />}
      </div>
    </>
  );
}

/** The routes by their tag, in the document's order. */
function grouped(document: OpenApi): [tag: string, routes: Route[]][] {
  const groups = new Map<string, Route[]>();
  for (const [path, item] of Object.entries(document.paths)) {
    for (const method of METHODS) {
      const operation = item[method];
      if (operation === undefined) continue;
      const tag = operation.tags?.[0] ?? "Routes";
      groups.set(tag, [...(groups.get(tag) ?? []), { id: `${method} ${path}`, method: method.toUpperCase(), path, operation }]);
    }
  }
  return [...groups];
}
