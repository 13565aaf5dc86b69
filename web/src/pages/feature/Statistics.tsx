/**
 * A feature in numbers: the tokens that it suppresses and promotes, how its activations are spread, and
 * its effect on the whole vocabulary.
 */
import { memo } from "react";
import type { FeatureRecord } from "@/api/feature.ts";
import { Histogram } from "@/components/Histogram.tsx";
import { logitShare } from "@/lib/colour.ts";
import { formatLogit } from "@/lib/format.ts";
import { filled, type Numbers } from "@/lib/numbers.ts";
import { tokenAlone } from "@/lib/tokens.ts";
import css from "./Statistics.module.css";

const ROWS = 10;
const FEW_ROWS = 5;

interface Props {
  readonly record: FeatureRecord;
  readonly marker: number | null;
  readonly isShort: boolean;
}

export const Statistics = memo(function Statistics({ record, marker, isShort }: Props) {
  const rows = isShort ? FEW_ROWS : ROWS;
  const strongest = Math.max(...filled([...record.pos_values, ...record.neg_values]).map(Math.abs), 0);
  return (
    <section className={`panel ${css.statistics}`} aria-label="Statistics">
      <div className={css.tables}>
        <LogitsTable title="Negative logits" tone="negative" tokens={record.neg_str} values={record.neg_values} strongest={strongest} rows={rows} />
        <LogitsTable title="Positive logits" tone="positive" tokens={record.pos_str} values={record.pos_values} strongest={strongest} rows={rows} />
      </div>
      <div className={css.histograms}>
        <Histogram
          title="Activations"
          unit="tokens"
          tone="attribution"
          middles={filled(record.freq_hist_data_bar_values)}
          heights={filled(record.freq_hist_data_bar_heights)}
          marker={marker !== null && marker > 0 ? marker : null}
        />
        <Histogram
          title="Effect on logits"
          unit="tokens of the vocabulary"
          tone="signed"
          middles={filled(record.logits_hist_data_bar_values)}
          heights={filled(record.logits_hist_data_bar_heights)}
        />
        {record.decoder_weights_dist.length > 0 && (
          <Histogram
            title="Decoder weight by head"
            unit="share"
            tone="plain"
            middles={record.decoder_weights_dist.map((_, head) => head)}
            heights={filled(record.decoder_weights_dist)}
            format={(head) => Math.round(head).toString()}
          />
        )}
      </div>
    </section>
  );
});

interface TableProps {
  readonly title: string;
  readonly tone: "positive" | "negative";
  readonly tokens: readonly string[];
  readonly values: Numbers;
  readonly strongest: number;
  readonly rows: number;
}

/** What stands for a logit that is not known. */
const UNKNOWN = -10_000;

function LogitsTable({ title, tone, tokens, values, strongest, rows }: TableProps) {
  return (
    <table className={css.table}>
      <caption>{title}</caption>
      <thead className="visually-hidden">
        <tr>
          <th scope="col">Token</th>
          <th scope="col">Logit</th>
        </tr>
      </thead>
      <tbody>
        {tokens.slice(0, rows).map((token, at) => {
          const value = values[at] ?? UNKNOWN;
          const share = value === UNKNOWN ? 0 : logitShare(value, strongest);
          return (
            <tr key={at} className={css[tone]} style={{ "--share": `${share * 100}%` } as React.CSSProperties}>
              <td>
                <span className={css.token}>{tokenAlone(token)}</span>
              </td>
              <td className="number">{value === UNKNOWN ? "n/a" : formatLogit(value)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
