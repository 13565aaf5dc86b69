/**
 * One feature that a search found: how well it fits, what it is called, and texts that show it.
 */
import type { ReactNode } from "react";
import type { FeatureRecord } from "@/api/feature.ts";
import { FeatureLink } from "@/components/FeatureLink.tsx";
import { TokenChips } from "@/components/TokenChips.tsx";
import { TokenText } from "@/components/TokenText.tsx";
import { largest, windowAround } from "@/lib/activations.ts";
import { type FeatureAddress, formatAddress } from "@/lib/address.ts";
import { formatActivation, formatDensity } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import css from "./SearchPage.module.css";

interface Props {
  readonly address: FeatureAddress;
  readonly measure: ReactNode;
  readonly label: string | null;
  readonly promotes?: readonly string[];
  readonly density?: number | null;
  readonly maximum?: number | null;
  readonly made?: string;
  readonly children?: ReactNode;
  readonly isLit?: boolean;
  readonly onHover?: (isOver: boolean) => void;
}

export function Hit({ address, measure, label, promotes = [], density, maximum, made, children, isLit = false, onHover }: Props) {
  return (
    <li className={css.hit} data-lit={isLit} onPointerEnter={() => onHover?.(true)} onPointerLeave={() => onHover?.(false)}>
      <div className={css.measure}>{measure}</div>
      <div>
        <FeatureLink address={address} className={css.name}>
          {label ? <span className="label-text">{inert(label, 240)}</span> : promotes.length > 0 ? <TokenChips tokens={promotes.slice(0, 4)} /> : formatAddress(address)}
        </FeatureLink>
        <p className={css.facts}>
          <span className="label-text">{inert(formatAddress(address), 100)}</span>
          {density !== undefined && <span>fires on {formatDensity(density)}</span>}
          {maximum !== undefined && <span>max {formatActivation(maximum)}</span>}
          {made && <span className="label-text">{inert(made, 80)}</span>}
        </p>
      </div>
      {children}
    </li>
  );
}

/** The first examples of a record, each in one line. */
export function RecordExamples({ record, count = 3 }: { readonly record: FeatureRecord | null | undefined; readonly count?: number }) {
  const activations = record?.activations.slice(0, count) ?? [];
  const most = largest(activations.map((activation) => activation.maxValue));
  return (
    <ul className={css.examples}>
      {activations.map(({ id, tokens, values, maxValueTokenIndex: at }) => {
        const [, to] = windowAround(at, tokens.length, "snippet");
        return (
          <li key={id}>
            <TokenText tokens={tokens} values={values} most={most} from={Math.max(0, at - 8)} to={to} anchor={at} />
          </li>
        );
      })}
    </ul>
  );
}
