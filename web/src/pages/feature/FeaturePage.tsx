/**
 * The page of one feature: where it is, its name, ways to its neighbours, and its dashboard.
 *
 * Left and right go to the features before and after; the text under test goes along.
 */
import { useQueryClient } from "@tanstack/react-query";
import { ChevronLeft, ChevronRight, Dices, ExternalLink } from "lucide-react";
import { useEffect } from "react";
import { Link, useNavigate, useParams, useSearchParams } from "react-router";
import { findSource, useRegistry } from "@/api/registry.ts";
import { useKeys } from "@/app/keys.ts";
import { useTitle } from "@/app/useTitle.ts";
import { Breadcrumbs } from "@/components/Breadcrumbs.tsx";
import { CopyButton } from "@/components/Copy.tsx";
import { Empty } from "@/components/Status.tsx";
import { type FeatureAddress, featurePath, formatAddress, parseIndex } from "@/lib/address.ts";
import { embedParts } from "./embedParts.ts";
import FeatureDashboard from "./FeatureDashboard.tsx";
import css from "./FeaturePage.module.css";
import { featureQuery } from "./featureQuery.ts";

export default function FeaturePage() {
  const { model = "", source = "", index = "" } = useParams();
  const number = parseIndex(index);
  if (number === null) {
    return (
      <div className="page">
        <Breadcrumbs model={model} source={source} index={index} />
        <Empty title="A feature's index is a whole number" />
      </div>
    );
  }
  return <OneFeature address={{ model, source, index: number }} />;
}

function OneFeature({ address }: { readonly address: FeatureAddress }) {
  const { model, source, index } = address;
  const [parameters] = useSearchParams();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const { data: registry } = useRegistry();
  const known = findSource(registry, model, source);
  const count = known === undefined ? null : Math.max(known.features, known.d_sae ?? 0);
  const carried = carriedAlong(parameters);
  const pathOf = (to: number) => `${featurePath({ model, source, index: to })}${carried}`;
  const before = index > 0 ? index - 1 : null;
  const after = count === null || index + 1 < count ? index + 1 : null;
  const goTo = (to: number | null) => to !== null && void navigate(pathOf(to));
  const random = () => goTo(Math.floor(Math.random() * (count ?? index + 1)));

  useTitle(formatAddress(address));
  useKeys((key) => {
    if (key === "ArrowLeft") goTo(before);
    if (key === "ArrowRight") goTo(after);
    if (key === "r") random();
  });
  useEffect(() => {
    const timer = setTimeout(() => {
      for (const next of [after, before]) {
        if (next !== null) void queries.prefetchQuery(featureQuery({ model, source, index: next }));
      }
    }, 300);
    return () => clearTimeout(timer);
  }, [queries, model, source, after, before]);

  if (parameters.get("embed") === "true") {
    const parts = embedParts(parameters);
    return (
      <div className={css.embedded}>
        {parts.link && (
          <a className="link" href={featurePath(address)} target="_blank" rel="noopener">
            {formatAddress(address)} <ExternalLink size={12} aria-hidden />
          </a>
        )}
        <FeatureDashboard address={address} parts={parts} />
      </div>
    );
  }
  return (
    <div className="page">
      <div className={css.top}>
        <Breadcrumbs model={model} source={source} index={index.toString()} />
        <div className={css.steps}>
          <CopyButton text={formatAddress(address)} name="Address" />
          <button type="button" className="button small quiet" onClick={random}>
            <Dices size={14} aria-hidden /> Random
          </button>
          <Step to={before} pathOf={pathOf} name="Previous feature">
            <ChevronLeft size={16} aria-hidden />
          </Step>
          <Step to={after} pathOf={pathOf} name="Next feature">
            <ChevronRight size={16} aria-hidden />
          </Step>
        </div>
      </div>
      <FeatureDashboard address={address} />
    </div>
  );
}

interface StepProps {
  readonly to: number | null;
  readonly pathOf: (index: number) => string;
  readonly name: string;
  readonly children: React.ReactNode;
}

function Step({ to, pathOf, name, children }: StepProps) {
  if (to === null) {
    return (
      <button type="button" className="icon-button" disabled aria-label={name}>
        {children}
      </button>
    );
  }
  return (
    <Link to={pathOf(to)} className="icon-button" aria-label={name}>
      {children}
    </Link>
  );
}

/** The parameters that neighbours keep: the text under test, and how examples are shown. */
function carriedAlong(parameters: URLSearchParams): string {
  const kept = ["defaulttesttext", "bos", "context", "breaks"].flatMap((name) => {
    const value = parameters.get(name);
    return value === null ? [] : [[name, value]];
  });
  return kept.length === 0 ? "" : `?${new URLSearchParams(kept)}`;
}
