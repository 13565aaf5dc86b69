/**
 * A feature in a few lines: its label, how often and how strongly it fires, what it promotes, and its
 * strongest examples. It is what hover cards show.
 */
import { useQuery } from "@tanstack/react-query";
import { select } from "@/api/sql.ts";
import { largest, windowAround } from "@/lib/activations.ts";
import { type FeatureAddress, formatAddress } from "@/lib/address.ts";
import { formatActivation, formatDensity } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import { EXAMPLES, SUMMARIES } from "@/queries/features.ts";
import css from "./FeatureCard.module.css";
import { ErrorNote, Skeleton } from "./Status.tsx";
import { TokenChips } from "./TokenChips.tsx";
import { TokenText } from "./TokenText.tsx";

export function FeatureCard({ address }: { readonly address: FeatureAddress }) {
  const { model, source, index } = address;
  const { data, error } = useQuery({
    queryKey: ["card", model, source, index],
    queryFn: async ({ signal }) => {
      const [summaries, examples] = await Promise.all([
        select(SUMMARIES, [model, source, [index]], signal),
        select(EXAMPLES, [model, source, index], signal),
      ]);
      return { summary: summaries[0], examples };
    },
  });
  if (error) return <ErrorNote error={error} />;
  if (data === undefined) return <Skeleton lines={4} height={12} />;
  const { summary, examples } = data;
  const most = largest(examples.map((example) => example.max_value));
  return (
    <div className={css.card}>
      <p className="muted mono">{inert(formatAddress(address), 120)}</p>
      {summary === undefined ? (
        <p>This feature has no dashboard here.</p>
      ) : (
        <>
          {summary.description && <p className={`${css.label} label-text`}>{inert(summary.description, 200)}</p>}
          <p className={css.facts}>
            <span>fires on {formatDensity(summary.density)}</span>
            <span>max {formatActivation(summary.max_activation)}</span>
          </p>
          <TokenChips tokens={summary.promotes ?? []} name="promotes" />
          <ul className={css.examples}>
            {examples.map((example, at) => {
              const position = example.max_position ?? 0;
              const [from, to] = windowAround(position, example.tokens.length, "stacked");
              return (
                <li key={at}>
                  <TokenText tokens={example.tokens} values={example.acts} most={most} from={from} to={to} anchor={position} />
                </li>
              );
            })}
          </ul>
        </>
      )}
    </div>
  );
}
