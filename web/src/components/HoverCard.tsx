/**
 * A card that appears beside what the pointer rests on or the focus is on, and stays while the pointer
 * is over it. What it says must also be reachable without it.
 */
import {
  autoUpdate,
  flip,
  FloatingPortal,
  offset,
  type Placement,
  safePolygon,
  shift,
  useDismiss,
  useFloating,
  useFocus,
  useHover,
  useInteractions,
} from "@floating-ui/react";
import { cloneElement, type ReactElement, type ReactNode, useState } from "react";
import css from "./HoverCard.module.css";

interface Props {
  readonly children: ReactElement<Record<string, unknown>>;
  readonly card: () => ReactNode;
  readonly placement?: Placement;
  readonly delay?: number;
  readonly narrow?: boolean;
}

export function HoverCard({ children, card, placement = "bottom-start", delay = 180, narrow = false }: Props) {
  const [isOpen, setOpen] = useState(false);
  const { refs, floatingStyles, context } = useFloating({
    open: isOpen,
    onOpenChange: setOpen,
    placement,
    middleware: [offset(8), flip({ padding: 12 }), shift({ padding: 12 })],
    whileElementsMounted: autoUpdate,
  });
  const { getReferenceProps, getFloatingProps } = useInteractions([
    useHover(context, { delay: { open: delay, close: 80 }, handleClose: safePolygon(), mouseOnly: true }),
    useFocus(context),
    useDismiss(context),
  ]);
  return (
    <>
      {cloneElement(children, getReferenceProps({ ref: refs.setReference, ...children.props }))}
      {isOpen && (
        <FloatingPortal>
          <div
            ref={refs.setFloating}
            className={narrow ? css.narrow : css.card}
            style={floatingStyles}
            {...getFloatingProps()}
          >
            {card()}
          </div>
        </FloatingPortal>
      )}
    </>
  );
}
