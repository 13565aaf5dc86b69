/**
 * A mention of a feature: its label or address, a card with what matters when the pointer rests on it,
 * its dashboard in a dialog when it is clicked. It is a link to the feature's page all the same.
 */
import type { MouseEvent, ReactNode } from "react";
import { Link, useSearchParams } from "react-router";
import { type FeatureAddress, featurePath, formatAddress } from "@/lib/address.ts";
import { FeatureCard } from "./FeatureCard.tsx";
import { HoverCard } from "./HoverCard.tsx";

/** The parameter that names the feature in the dialog. */
export const PEEK = "peek";

interface Props {
  readonly address: FeatureAddress;
  readonly children?: ReactNode;
  readonly className?: string | undefined;
  /** Go to the feature's page instead of opening the dialog. */
  readonly opensPage?: boolean;
}

export function FeatureLink({ address, children, className, opensPage = false }: Props) {
  const [parameters, setParameters] = useSearchParams();
  const isEmbedded = parameters.get("embed") === "true";
  const open = (event: MouseEvent) => {
    if (opensPage || isEmbedded || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    setParameters(
      (before) => {
        const after = new URLSearchParams(before);
        after.set(PEEK, formatAddress(address));
        return after;
      },
      { preventScrollReset: true },
    );
  };
  return (
    <HoverCard card={() => <FeatureCard address={address} />}>
      <Link
        to={featurePath(address)}
        className={className ?? "link"}
        onClick={open}
        {...(isEmbedded ? { target: "_blank", rel: "noopener" } : {})}
      >
        {children ?? formatAddress(address)}
      </Link>
    </HoverCard>
  );
}
