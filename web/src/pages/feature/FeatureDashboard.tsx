/**
 * All that is known of a feature: its explanations, what it does to the logits, how often and how
 * strongly it fires, the texts that fire it, a text of one's own, its neighbours, and steering by it.
 *
 * The value of the token under the pointer is marked in the histogram of activations.
 */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { FeatureRecord } from "@/api/feature.ts";
import { ServerError } from "@/api/error.ts";
import { findSource, useRegistry } from "@/api/registry.ts";
import { Empty, ErrorNote, Reason } from "@/components/Status.tsx";
import { largest } from "@/lib/activations.ts";
import { type FeatureAddress, formatAddress, sourcePath } from "@/lib/address.ts";
import { inert } from "@/lib/inert.ts";
import { Link } from "react-router";
import { DashboardSkeleton } from "./DashboardSkeleton.tsx";
import { ALL_PARTS, type EmbedParts } from "./embedParts.ts";
import { Examples } from "./Examples.tsx";
import { Explanations } from "./Explanations.tsx";
import css from "./FeatureDashboard.module.css";
import { featureQuery } from "./featureQuery.ts";
import { Headline } from "./Headline.tsx";
import { Nearest } from "./Nearest.tsx";
import { Statistics } from "./Statistics.tsx";
import { SteerBox } from "./SteerBox.tsx";
import { TestText } from "./TestText.tsx";
import { UseElsewhere } from "./UseElsewhere.tsx";

interface Props {
  readonly address: FeatureAddress;
  readonly isDialog?: boolean;
  /** The parts of an embedded dashboard; a page or a dialog has all. */
  readonly parts?: EmbedParts;
}

export default function FeatureDashboard({ address, isDialog = false, parts }: Props) {
  const { data, error, refetch } = useQuery(featureQuery(address));
  if (error instanceof ServerError && error.status === 404) return <Missing address={address} />;
  if (error) return <ErrorNote error={error} retry={() => void refetch()} />;
  if (data === undefined) return <DashboardSkeleton />;
  return <Known key={formatAddress(address)} address={address} record={data} isDialog={isDialog} parts={parts} />;
}

function Known({ address, record, isDialog, parts }: { address: FeatureAddress; record: FeatureRecord; isDialog: boolean; parts: EmbedParts | undefined }) {
  const [marker, setMarker] = useState<number | null>(null);
  const [draft, setDraft] = useState<string | null>(null);
  const shown = parts ?? { ...ALL_PARTS, steer: true };
  const isEmbedded = parts !== undefined;
  const most = largest([record.maxActApprox, ...record.activations.map((activation) => activation.maxValue)]);
  const isDead = most === 0;
  return (
    <div className={isEmbedded ? css.embedded : css.dashboard}>
      {shown.explanation && <Headline record={record} isSmall={isEmbedded || isDialog} />}
      {isDead && (
        <Reason>This feature never fired on the texts that its dashboard was made from. What it does to the logits is known from its weights.</Reason>
      )}
      <div className={isEmbedded ? css.one : css.columns}>
        <div className={css.column}>
          {shown.plots && <Statistics record={record} marker={marker} isShort={isEmbedded} />}
          {shown.test && (
            <TestText address={address} most={most} draft={draft} onValue={setMarker} hasField={shown.testfield} isInUrl={!isDialog} />
          )}
          {shown.activations && <Examples record={record} most={most} onValue={setMarker} onTry={setDraft} isInUrl={!isDialog} />}
        </div>
        {!isEmbedded && (
          <div className={css.column}>
            <Explanations record={record} />
            <SteerBox address={address} most={most} />
            <Nearest address={address} record={record} />
            <UseElsewhere address={address} />
          </div>
        )}
        {isEmbedded && shown.steer && <SteerBox address={address} most={most} />}
      </div>
    </div>
  );
}

function Missing({ address }: { readonly address: FeatureAddress }) {
  const { data: registry } = useRegistry();
  const source = findSource(registry, address.model, address.source);
  return (
    <Empty title={`There is no feature ${inert(formatAddress(address), 120)}`}>
      {source === undefined ? (
        <p>
          This database has no source of that name. <Link to="/">See what it has</Link>
        </p>
      ) : (
        <p>
          Its source has {source.features} features with a dashboard.{" "}
          <Link to={sourcePath(address.model, address.source)}>Browse them</Link>
        </p>
      )}
    </Empty>
  );
}
