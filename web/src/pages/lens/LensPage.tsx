/**
 * Lenses: what each layer of a model would say next, at each token of a text; by the logit lens, or by
 * the model's Jacobian lens. With the id of a shared reading in its path, it shows that one.
 *
 * Columns are tokens, rows are layers with the last on top.
 */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useParams } from "react-router";
import { useRegistry, whyNotModel } from "@/api/registry.ts";
import { select } from "@/api/sql.ts";
import { useUrlState } from "@/app/urlState.ts";
import { useTitle } from "@/app/useTitle.ts";
import { ModelSelect, startModel } from "@/components/ScopePicker.tsx";
import { Segments } from "@/components/Segments.tsx";
import { Empty, ErrorNote, Reason, Skeleton } from "@/components/Status.tsx";
import { TextForm } from "@/pages/search/TextForm.tsx";
import { JACOBIAN_LENS, type LensName, THROUGH_LENS } from "@/queries/lens.ts";
import { Grid } from "./Grid.tsx";
import css from "./LensPage.module.css";
import { lensGrid } from "./lensGrid.ts";
import { ShareButton } from "./ShareButton.tsx";
import { SharedLens } from "./SharedLens.tsx";

export default function LensPage() {
  const { share } = useParams();
  return share === undefined ? <OwnLens /> : <SharedLens id={share} />;
}

function OwnLens() {
  useTitle("Lens");
  const [parameters, change] = useUrlState();
  const { data: registry, error } = useRegistry();
  const model = startModel(registry, parameters.get("model"));
  const text = parameters.get("q") ?? "";
  const lens: LensName = parameters.get("lens") === "jacobian" ? "jacobian" : "logit";
  const onlyWords = parameters.get("words") === "1";
  const whyNot = registry === undefined ? null : model === undefined ? "No model of this database can be run: add one under Data." : whyNotModel(registry, model.model_id);
  return (
    <div className="page">
      <header className={css.head}>
        <h1>{lens === "logit" ? "Logit lens" : "Jacobian lens"}</h1>
        <p className="muted">{lens === "logit" ? "What each layer would say next, were it the last." : "What each layer would say next, brought through the layers above by their average Jacobian."}</p>
      </header>
      {error && <ErrorNote error={error} />}
      {registry !== undefined && (
        <TextForm label="Text" placeholder="A text to read through the layers" isDisabled={whyNot !== null} onSubmit={(next) => change({ q: next }, { replace: false })}>
          <ModelSelect registry={registry} mustRun value={model?.model_id ?? ""} onChange={(next) => change({ model: next })} />
          {model !== undefined && <LensChoice model={model.model_id} value={lens} onChange={(next) => change({ lens: next === "logit" ? null : next })} />}
          <label className="check">
            <input type="checkbox" checked={onlyWords} onChange={(event) => change({ words: event.target.checked ? "1" : null })} /> Only words
          </label>
        </TextForm>
      )}
      {whyNot !== null ? (
        <Reason>{whyNot}</Reason>
      ) : model === undefined || text === "" ? (
        <Empty title="Give it a text">
          <button type="button" className="button" onClick={() => change({ q: "The iterator returns None when it is" })}>
            The iterator returns None when it is
          </button>
        </Empty>
      ) : (
        <Result model={model.model_id} text={text} lens={lens} onlyWords={onlyWords} />
      )}
    </div>
  );
}

function LensChoice({ model, value, onChange }: { readonly model: string; readonly value: LensName; readonly onChange: (lens: LensName) => void }) {
  const { data } = useQuery({
    queryKey: ["jacobian lens", model],
    queryFn: ({ signal }) => select(JACOBIAN_LENS, [model], signal),
  });
  const whyNot = data?.length === 0 ? `${model} has no Jacobian lens: latentdb model lens ${model} FILE adds one` : null;
  return (
    <div className={css.choice}>
      <Segments
        name="Lens"
        value={value}
        options={[
          ["logit", "Logit"],
          ["jacobian", "Jacobian", whyNot],
        ]}
        onChange={onChange}
      />
    </div>
  );
}

interface ResultProps {
  readonly model: string;
  readonly text: string;
  readonly lens: LensName;
  readonly onlyWords: boolean;
}

function Result({ model, text, lens, onlyWords }: ResultProps) {
  const { data, error, isFetching, refetch } = useQuery({
    queryKey: ["lens", model, text, lens, onlyWords],
    queryFn: async ({ signal }) => lensGrid(await select(THROUGH_LENS, [model, text, lens, onlyWords], signal)),
    placeholderData: keepPreviousData,
  });
  if (error) return <ErrorNote error={error} retry={() => void refetch()} />;
  if (data === undefined) return <Skeleton lines={8} height={28} />;
  return (
    <>
      <div className={css.actions}>
        <ShareButton model={model} text={text} onlyWords={onlyWords} />
      </div>
      <Grid grid={data} isOld={isFetching} />
    </>
  );
}
