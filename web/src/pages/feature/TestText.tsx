/**
 * A text of one's own, coloured on the scale of the feature's examples, so that a weak response looks
 * weak. The text stands in the address and goes along to the neighbours.
 */
import { useQuery } from "@tanstack/react-query";
import { FlaskConical } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Link } from "react-router";
import { testText } from "@/api/feature.ts";
import { useRegistry, whyNotSource } from "@/api/registry.ts";
import { useKeys } from "@/app/keys.ts";
import { useUrlState } from "@/app/urlState.ts";
import { CopyButton } from "@/components/Copy.tsx";
import { ErrorNote, Reason, Skeleton } from "@/components/Status.tsx";
import { TokenText } from "@/components/TokenText.tsx";
import { type FeatureAddress, featurePath } from "@/lib/address.ts";
import { formatActivation } from "@/lib/format.ts";
import { tokenAlone } from "@/lib/tokens.ts";
import css from "./TestText.module.css";

interface Props {
  readonly address: FeatureAddress;
  readonly most: number;
  /** A text to try that was chosen elsewhere. */
  readonly draft: string | null;
  readonly hasField: boolean;
  readonly isInUrl: boolean;
  readonly onValue: (value: number | null) => void;
}

export function TestText({ address, most, draft, hasField, isInUrl, onValue }: Props) {
  const { data: registry } = useRegistry();
  const whyNot = whyNotSource(registry, address.model, address.source);
  const [parameters, change] = useUrlState();
  const [own, setOwn] = useState("");
  const asked = isInUrl ? (parameters.get("defaulttesttext") ?? "") : own;
  const withBos = parameters.get("bos") === "1";
  const [text, setText] = useState(asked);
  const field = useRef<HTMLTextAreaElement>(null);
  const submit = (next: string) => {
    if (isInUrl) change({ defaulttesttext: next });
    else setOwn(next);
  };
  useEffect(() => {
    if (draft === null) return;
    setText(draft);
    field.current?.focus();
    field.current?.scrollIntoView({ block: "center", behavior: "smooth" });
  }, [draft]);
  useKeys((key, event) => {
    if (key !== "t") return;
    event.preventDefault();
    field.current?.focus();
  });

  return (
    <section className="panel" aria-labelledby="test">
      <div className="panel-head">
        <h2 id="test">Test a text</h2>
        {asked !== "" && hasField && (
          <div className="row">
            <label className={css.check} title="Values at the token that begins a text are large and mean little">
              <input type="checkbox" checked={withBos} onChange={(event) => change({ bos: event.target.checked ? "1" : null })} /> Count the first token
            </label>
            <CopyButton name="Link" text={() => `${window.location.origin}${featurePath(address)}?${new URLSearchParams({ defaulttesttext: asked })}`} />
          </div>
        )}
      </div>
      <div className={css.body}>
        {whyNot !== null ? (
          <Reason>{whyNot}</Reason>
        ) : (
          <>
            {hasField && (
              <form
                className={css.form}
                onSubmit={(event) => {
                  event.preventDefault();
                  submit(text);
                }}
              >
                <textarea
                  ref={field}
                  className="textarea"
                  rows={1}
                  aria-label="Text to test"
                  placeholder="Does this feature fire on your text?"
                  value={text}
                  onChange={(event) => setText(event.target.value)}
                  onKeyDown={(event) => {
                    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
                    event.preventDefault();
                    submit(text);
                  }}
                />
                <button type="submit" className="button primary" disabled={text === ""}>
                  <FlaskConical size={14} aria-hidden /> Test
                </button>
              </form>
            )}
            {asked !== "" && <Result address={address} text={asked} ignoreBos={!withBos} most={most} onValue={onValue} />}
          </>
        )}
      </div>
    </section>
  );
}

interface ResultProps {
  readonly address: FeatureAddress;
  readonly text: string;
  readonly ignoreBos: boolean;
  readonly most: number;
  readonly onValue: (value: number | null) => void;
}

function Result({ address, text, ignoreBos, most, onValue }: ResultProps) {
  const { data, error, isFetching } = useQuery({
    queryKey: ["test", address, text, ignoreBos],
    queryFn: ({ signal }) => testText(address, text, ignoreBos, signal),
    placeholderData: (before) => before,
  });
  if (error) return <ErrorNote error={error} />;
  if (data === undefined) return <Skeleton lines={1} height={22} />;
  // What a text of one's own does is drawn on the examples' scale; without examples it is its own.
  const scale = most > 0 ? most : data.maxValue;
  const share = most > 0 ? ` · ${Math.round((data.maxValue / most) * 100)}% of the largest known` : "";
  return (
    <div className={css.result} aria-busy={isFetching} aria-live="polite">
      <p className={css.summary}>
        {data.maxValue > 0 ? (
          <>
            <b>{formatActivation(data.maxValue)}</b> at <span className="mono">{tokenAlone(data.tokens[data.maxValueTokenIndex] ?? "")}</span>
            {share}
          </>
        ) : (
          "It does not fire on this text."
        )}
        <Link className="link" to={`/search?${new URLSearchParams({ mode: "token", model: address.model, source: address.source, q: text })}`}>
          Which features do?
        </Link>
      </p>
      <TokenText tokens={data.tokens} values={data.values} most={scale} anchor={data.maxValue > 0 ? data.maxValueTokenIndex : null} breaks onValue={onValue} />
    </div>
  );
}
