/**
 * A mention of a feature: its label or address, a card with what matters when the pointer rests on it,
 * its dashboard in a dialog when it is clicked. It is a link to the feature's page all the same.
 */
import type { MouseEvent, ReactNode } from "react";
import { Link, useSearchParams } from "react-router";
import { type FeatureAddress, featurePath, formatAddress } from "@/lib/address.ts";
import { closeCard, enterMention, leaveMention } from "./featureHover.ts";

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
    closeCard();
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
    <Link
      to={featurePath(address)}
      className={className ?? "link"}
      onClick={open}
      onPointerEnter={(event) => event.pointerType === "mouse" && enterMention({ address, element: event.currentTarget })}
      onPointerLeave={leaveMention}
      onFocus={(event) => event.currentTarget.matches(":focus-visible") && enterMention({ address, element: event.currentTarget })}
      onBlur={leaveMention}
      {...(isEmbedded ? { target: "_blank", rel: "noopener" } : {})}
    >
      {children ?? formatAddress(address)}
    </Link>
  );
}
