/**
 * Every explanation of a feature, with how it was made and how well it predicts.
 */
import type { Explanation, FeatureRecord } from "@/api/feature.ts";
import { formatScore, formatTime } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import css from "./Explanations.module.css";

export function Explanations({ record }: { readonly record: FeatureRecord }) {
  return (
    <section className="panel" aria-labelledby="explanations">
      <div className="panel-head">
        <h2 id="explanations">Explanations</h2>
        <span className="muted">{record.explanations.length || null}</span>
      </div>
      {record.explanations.length === 0 ? (
        <p className={`${css.none} muted`}>Nobody has explained this feature yet.</p>
      ) : (
        <ul className={css.list}>
          {record.explanations.map((explanation) => (
            <One key={explanation.id} explanation={explanation} />
          ))}
        </ul>
      )}
    </section>
  );
}

function One({ explanation }: { readonly explanation: Explanation }) {
  const { scores } = explanation;
  const known = scores.flatMap(({ value }) => (value === null ? [] : [value]));
  const mean = known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
  const made = [explanation.typeName, explanation.explanationModelName ?? explanation.authorId].filter(Boolean).join(" · ");
  return (
    <li>
      <div className={css.line}>
        <p className="label-text">{inert(explanation.description)}</p>
        {mean !== null && (
          <span className={css.score} title={`mean of ${known.length} scores, times 100`}>
            {formatScore(mean)}
          </span>
        )}
      </div>
      <p className={css.made} title={formatTime(explanation.createdAt)}>
        {inert(made, 160) || "of unknown origin"}
      </p>
      {scores.length > 0 && (
        <details className={css.scores}>
          <summary>{scores.length === 1 ? "1 score" : `${scores.length} scores`}</summary>
          <table>
            <tbody>
              {scores.map((score) => (
                <tr key={score.id}>
                  <td className="number">{formatScore(score.value)}</td>
                  <td>{inert(score.explanationScoreTypeName, 80)}</td>
                  <td className="muted">{inert(score.explanationScoreModelName, 80)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      )}
    </li>
  );
}
