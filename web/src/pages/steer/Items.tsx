/**
 * The features and vectors that a page steers by, each with its strength, a switch, and a way out.
 */
import { X } from "lucide-react";
import { FeatureLink } from "@/components/FeatureLink.tsx";
import { StrengthSlider } from "@/components/StrengthSlider.tsx";
import { TokenChips } from "@/components/TokenChips.tsx";
import { inert } from "@/lib/inert.ts";
import css from "./SteerPage.module.css";
import { type SteerItem, timesOf, VECTORS } from "./steerState.ts";
import type { Maxima } from "./useMaxima.ts";

interface Props {
  readonly model: string;
  readonly items: readonly SteerItem[];
  readonly maxima: Maxima;
  readonly onChange: (items: readonly SteerItem[]) => void;
}

export function Items({ model, items, maxima, onChange }: Props) {
  if (items.length === 0) return <p className="muted">Nothing yet: add a feature below.</p>;
  const replace = (at: number, next: SteerItem) => onChange(items.map((item, place) => (place === at ? next : item)));
  return (
    <ul className={css.items}>
      {items.map((item, at) => {
        const summary = maxima.summary(item);
        const name = `${item.source}/${item.index}`;
        return (
          <li key={`${name}-${at}`} className={item.isOff ? css.off : undefined}>
            <div className={css.itemHead}>
              <input type="checkbox" checked={!item.isOff} aria-label={`Steer by ${name}`} onChange={() => replace(at, { ...item, isOff: !item.isOff })} />
              {item.source === VECTORS ? (
                <span className="label-text">vector {inert(item.index, 40)}</span>
              ) : (
                <FeatureLink address={{ model, source: item.source, index: Number(item.index) }} className={css.itemName}>
                  {summary?.description ? <span className="label-text">{inert(summary.description, 120)}</span> : <TokenChips tokens={(summary?.promotes ?? []).slice(0, 3)} />}
                  <span className="muted">{inert(name, 60)}</span>
                </FeatureLink>
              )}
              <button type="button" className="icon-button" aria-label={`Remove ${name}`} onClick={() => onChange(items.filter((_, place) => place !== at))}>
                <X size={14} aria-hidden />
              </button>
            </div>
            <StrengthSlider name={`Strength of ${name}`} times={timesOf(item, maxima.of(item))} most={maxima.of(item)} onChange={(times) => replace(at, { ...item, strength: { times } })} />
          </li>
        );
      })}
    </ul>
  );
}
