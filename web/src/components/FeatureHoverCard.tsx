/**
 * The card beside the mention of a feature that the pointer rests on. It says nothing that the dialog,
 * which a click or Enter opens, does not say.
 */
import { autoUpdate, flip, offset, shift, useFloating } from "@floating-ui/react-dom";
import { useEffect } from "react";
import { useLocation } from "react-router";
import { formatAddress } from "@/lib/address.ts";
import { FeatureCard } from "./FeatureCard.tsx";
import css from "./FeatureHoverCard.module.css";
import { closeCard, type Hovered, leaveMention, stayOpen, useHovered } from "./featureHover.ts";

export function FeatureHoverCard() {
  const hovered = useHovered();
  const { key } = useLocation();
  // A card does not outlive the page that it was opened on.
  useEffect(() => closeCard, [key]);
  return hovered === null ? null : <Card key={formatAddress(hovered.address)} hovered={hovered} />;
}

function Card({ hovered: { address, element } }: { readonly hovered: Hovered }) {
  const { refs, floatingStyles } = useFloating({
    placement: "bottom-start",
    strategy: "fixed",
    elements: { reference: element },
    middleware: [offset(8), flip({ padding: 12 }), shift({ padding: 12 })],
    whileElementsMounted: autoUpdate,
  });
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (event.key === "Escape") closeCard();
    };
    window.addEventListener("keydown", listen);
    return () => window.removeEventListener("keydown", listen);
  }, []);
  return (
    <div ref={refs.setFloating} role="tooltip" className={css.card} style={floatingStyles} onPointerEnter={stayOpen} onPointerLeave={leaveMention}>
      <FeatureCard address={address} />
    </div>
  );
}
