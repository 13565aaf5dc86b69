/**
 * The page of a source: its features as a table, as a map, and how it was made. An address that names a
 * source set instead shows the set.
 */
import { lazy, Suspense } from "react";
import { Link, useNavigate, useParams } from "react-router";
import { findModel, findSource, isSourceLive, type Source, useRegistry } from "@/api/registry.ts";
import { useKeys } from "@/app/keys.ts";
import { useUrlState } from "@/app/urlState.ts";
import { useTitle } from "@/app/useTitle.ts";
import { Breadcrumbs } from "@/components/Breadcrumbs.tsx";
import { Segments } from "@/components/Segments.tsx";
import { Empty, ErrorNote, Skeleton } from "@/components/Status.tsx";
import { featurePath, modelPath } from "@/lib/address.ts";
import { formatCount, formatDensity, plural } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import { SetPage } from "@/pages/model/SetPage.tsx";
import { About } from "./About.tsx";
import { Distributions } from "./Distributions.tsx";
import { FeatureTable } from "./FeatureTable.tsx";
import css from "./SourcePage.module.css";

const FeatureMap = lazy(() => import("./FeatureMap.tsx"));

const TABS = ["features", "map", "about"] as const;
type Tab = (typeof TABS)[number];

export default function SourcePage() {
  const { model = "", source: id = "" } = useParams();
  const { data: registry, error, refetch } = useRegistry();
  useTitle(`${model}/${id}`);
  const source = findSource(registry, model, id);
  const set = findModel(registry, model)?.sets.find((each) => each.set_id === id);
  if (source !== undefined) return <Known key={`${model}/${id}`} source={source} />;
  if (set !== undefined) return <SetPage set={set} />;
  return (
    <div className="page">
      <Breadcrumbs model={model} source={id} />
      {error ? (
        <ErrorNote error={error} retry={() => void refetch()} />
      ) : registry === undefined ? (
        <Skeleton lines={14} height={20} />
      ) : (
        <Empty title={`There is no source ${inert(`${model}/${id}`, 120)}`}>
          <p>{findModel(registry, model) ? <Link to={modelPath(model)}>See the sources of {inert(model, 80)}</Link> : <Link to="/">See what is in this database</Link>}</p>
        </Empty>
      )}
    </div>
  );
}

function Known({ source }: { readonly source: Source }) {
  const [parameters, change] = useUrlState();
  const navigate = useNavigate();
  const asked = parameters.get("tab");
  const tab: Tab = TABS.find((each) => each === asked) ?? "features";
  const { model_id: model, source_id: id } = source;
  useKeys((key) => {
    if (key === "r") void navigate(featurePath({ model, source: id, index: Math.floor(Math.random() * Math.max(source.features, 1)) }));
  });
  return (
    <div className="page">
      <header className={css.header}>
        <div className={css.title}>
          <Breadcrumbs model={model} source={id} />
          <h1 className="label-text">{inert(id, 120)}</h1>
          <p className={css.facts}>
            <span>{plural(source.features, "feature")}</span>
            {source.dead > 0 && <span>{formatCount(source.dead)} dead</span>}
            {source.explained > 0 && <span>{formatCount(source.explained)} explained</span>}
            <span>mean density {formatDensity(source.meanDensity)}</span>
            <span className={css.state}>
              <span className={`dot ${isSourceLive(source) ? "live" : ""}`} aria-hidden /> {isSourceLive(source) ? "can be run here" : "dashboards only"}
            </span>
          </p>
          <div className={css.ways}>
            <Segments
              name="View"
              value={tab}
              options={[
                ["features", "Features"],
                ["map", "Map", source.mapped === 0 ? "The features of this source have no places in a map yet" : null],
                ["about", "About"],
              ]}
              onChange={(next) => change({ tab: next === "features" ? null : next }, { replace: false })}
            />
            <Link className="button small" to={`/search?${new URLSearchParams({ mode: "token", model, source: id })}`}>
              Search by text
            </Link>
          </div>
        </div>
        <Distributions source={source} />
      </header>
      {tab === "features" && <FeatureTable source={source} />}
      {tab === "map" && (
        <Suspense fallback={<Skeleton lines={14} height={24} />}>
          <FeatureMap source={source} />
        </Suspense>
      )}
      {tab === "about" && <About source={source} />}
    </div>
  );
}
