/**
 * What is in this database, a search over it, and three things to try.
 */
import { useQuery } from "@tanstack/react-query";
import { ArrowRight, FlaskConical, Search, SlidersHorizontal, Table2 } from "lucide-react";
import { useState } from "react";
import { Link, useNavigate } from "react-router";
import { isLive, type Model, modelName, type Registry, type SourceSet, useRegistry } from "@/api/registry.ts";
import { select } from "@/api/sql.ts";
import { useTitle } from "@/app/useTitle.ts";
import { Empty, ErrorNote, Skeleton } from "@/components/Status.tsx";
import { modelPath, parseAddress, featurePath, sourcePath } from "@/lib/address.ts";
import { formatBytes, formatCount, plural } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import { DATABASE_SIZE, TABLE_COUNTS } from "@/queries/registry.ts";
import css from "./HomePage.module.css";
import { thingsToTry } from "./thingsToTry.ts";

export default function HomePage() {
  useTitle(null);
  const { data: registry, error, refetch } = useRegistry();
  return (
    <div className={`page ${css.home}`}>
      <header className={css.hero}>
        <h1>What do the features of your models mean?</h1>
        <SearchBox />
        <Totals registry={registry} />
      </header>
      {error ? (
        <ErrorNote error={error} retry={() => void refetch()} />
      ) : registry === undefined ? (
        <Skeleton lines={8} height={22} />
      ) : registry.models.length === 0 ? (
        <Empty title="This database is empty">
          <p>
            <Link to="/data">Add a model or import an export</Link>
          </p>
        </Empty>
      ) : (
        <>
          <Things registry={registry} />
          <section className={css.models} aria-label="Models">
            {registry.models.map((model) => (
              <ModelCard key={model.model_id} model={model} />
            ))}
          </section>
        </>
      )}
    </div>
  );
}

function SearchBox() {
  const navigate = useNavigate();
  const [text, setText] = useState("");
  return (
    <form
      role="search"
      className={css.search}
      onSubmit={(event) => {
        event.preventDefault();
        const address = parseAddress(text);
        void navigate(address === null ? `/search?${new URLSearchParams({ mode: "label", q: text })}` : featurePath(address));
      }}
    >
      <Search size={18} aria-hidden />
      <input
        data-search
        aria-label="Search explanations, or go to model/source/index"
        placeholder="Search explanations, or type model/source/index"
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      <kbd aria-hidden>/</kbd>
    </form>
  );
}

function Totals({ registry }: { readonly registry: Registry | undefined }) {
  const { data: size } = useQuery({ queryKey: ["size"], queryFn: ({ signal }) => select(DATABASE_SIZE, [], signal) });
  const { data: counts } = useQuery({ queryKey: ["table-counts"], queryFn: ({ signal }) => select(TABLE_COUNTS, [], signal) });
  const sources = registry?.models.flatMap((model) => model.sources) ?? [];
  const sum = (of: (source: (typeof sources)[number]) => number) => sources.reduce((total, source) => total + of(source), 0);
  const facts: ReadonlyArray<readonly [string, string]> = [
    ["features", registry === undefined ? "–" : formatCount(sum((source) => source.features))],
    ["activations", formatCount(counts?.[0]?.activations)],
    ["explanations", registry === undefined ? "–" : formatCount(sum((source) => source.explanations))],
    ["on disk", formatBytes(size?.[0]?.bytes)],
  ];
  return (
    <dl className={css.totals}>
      {facts.map(([name, value]) => (
        <div key={name}>
          <dd>{value}</dd>
          <dt>{name}</dt>
        </div>
      ))}
    </dl>
  );
}

const ICONS = { test: FlaskConical, steer: SlidersHorizontal, sql: Table2 } as const;

function Things({ registry }: { readonly registry: Registry }) {
  const { data: things } = useQuery({
    queryKey: ["things", registry.models.length],
    queryFn: ({ signal }) => thingsToTry(registry, signal),
  });
  return (
    <section aria-label="Things to try" className={css.things}>
      {(things ?? []).map((thing) => {
        const Icon = ICONS[thing.kind];
        return (
          <Link key={thing.kind} to={thing.path} className={css.thing}>
            <Icon size={16} aria-hidden />
            <span>
              <b>{thing.title}</b>
              <span className="label-text">{inert(thing.detail, 160)}</span>
            </span>
            <ArrowRight size={15} aria-hidden />
          </Link>
        );
      })}
    </section>
  );
}

function ModelCard({ model }: { readonly model: Model }) {
  const shape = [
    model.family,
    model.n_layers === null ? null : plural(model.n_layers, "layer"),
    model.d_model === null ? null : `width ${formatCount(model.d_model)}`,
    model.d_vocab === null ? null : `${formatCount(model.d_vocab)} tokens`,
  ];
  const features = model.sources.reduce((total, source) => total + source.features, 0);
  return (
    <article className={css.model}>
      <header>
        <h2 className="label-text">
          <Link to={modelPath(model.model_id)}>{inert(modelName(model), 80)}</Link>
        </h2>
        <span className={css.state}>
          <span className={`dot ${isLive(model) ? "live" : ""}`} aria-hidden />
          {isLive(model) ? "can be run here" : "dashboards only"}
        </span>
        <p className="muted label-text">{inert(shape.filter(Boolean).join(" · "), 200)}</p>
        <p className="muted">{plural(features, "feature")}</p>
      </header>
      <div className={css.sets}>
        {model.sets.map((set) => (
          <SetRow key={set.set_id} set={set} />
        ))}
        {model.sets.length === 0 && <p className="muted">No sources yet</p>}
      </div>
    </article>
  );
}

function SetRow({ set }: { readonly set: SourceSet }) {
  const explained = set.sources.reduce((total, source) => total + source.explained, 0);
  const features = set.sources.reduce((total, source) => total + source.features, 0);
  return (
    <div className={css.set}>
      <p className={css.setName}>
        <b className="label-text">{inert(set.set_id, 60)}</b>
        <span className="muted label-text">{inert(set.kind ?? set.sources[0]?.architecture, 40)}</span>
      </p>
      <ul className={css.sources}>
        {set.sources.map((source) => (
          <li key={source.source_id}>
            <Link to={sourcePath(source.model_id, source.source_id)} title={`${source.source_id}: ${plural(source.features, "feature")}`}>
              {inert(source.source_id, 40)}
            </Link>
          </li>
        ))}
      </ul>
      <p className={`muted ${css.setCounts}`}>
        {formatCount(features)}
        {explained > 0 && `, ${formatCount(explained)} explained`}
      </p>
    </div>
  );
}
