/**
 * Steering: the text as the model writes it, and beside it the text with features turned up or down.
 *
 * What is set stands in the address; a run that has ended is kept by the server, and its id in the
 * address restores it with its texts.
 */
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useParams } from "react-router";
import { findModel, type Model, type Registry, useRegistry, whyNotModel } from "@/api/registry.ts";
import { loadRun } from "@/api/steer.ts";
import { useUrlState } from "@/app/urlState.ts";
import { useTitle } from "@/app/useTitle.ts";
import { ModelSelect, startModel } from "@/components/ScopePicker.tsx";
import { Segments } from "@/components/Segments.tsx";
import { Empty, ErrorNote, Reason, Skeleton } from "@/components/Status.tsx";
import { AddFeature } from "./AddFeature.tsx";
import { Chat } from "./Chat.tsx";
import { Completion } from "./Completion.tsx";
import { Items } from "./Items.tsx";
import { SavedRuns } from "./SavedRuns.tsx";
import { Settings } from "./Settings.tsx";
import css from "./SteerPage.module.css";
import { readSteerState, type SteerState, steerChanges } from "./steerState.ts";
import { Suggestions } from "./Suggestions.tsx";
import { useMaxima } from "./useMaxima.ts";

export default function SteerPage() {
  useTitle("Steer");
  const { run } = useParams();
  const [parameters, change] = useUrlState();
  const { data: registry, error } = useRegistry();
  const saved = run ?? parameters.get("saved");
  const isModel = findModel(registry, saved) !== undefined;
  const { data: loaded, error: loadError } = useQuery({
    queryKey: ["run", saved],
    queryFn: ({ signal }) => loadRun(saved ?? "", signal),
    enabled: saved !== null && registry !== undefined && !isModel,
    staleTime: Number.POSITIVE_INFINITY,
  });
  // What was asked is put into the address, as if it had been set by hand.
  useEffect(() => {
    if (loaded === undefined || parameters.has("model")) return;
    const { modelId, features, inputText, DEFAULT: _d, STEERED: _s, ...rest } = loaded;
    const items = features.map((feature) => ({ source: feature.layer, index: String(feature.index), strength: { exactly: feature.strength }, isOff: false }));
    const { settings } = readSteerState(new URLSearchParams());
    const known = Object.keys(settings).flatMap((name) => (name in rest ? [[name, rest[name as keyof typeof rest]]] : []));
    change({ ...steerChanges(modelId, { items, settings: { ...settings, ...Object.fromEntries(known) } }), model: modelId, prompt: inputText ?? null });
  }, [loaded, parameters, change]);

  if (error) return <div className="page"><ErrorNote error={error} /></div>;
  if (registry === undefined) return <div className="page"><Skeleton lines={10} height={24} /></div>;
  const asked = isModel ? saved : parameters.get("model");
  const model = startModel(registry, asked);
  return (
    <div className="page">
      <header className={css.head}>
        <h1>Steer</h1>
        <p className="muted">Turn features up or down, and see what the model writes.</p>
      </header>
      {loadError && <ErrorNote error={loadError} />}
      {model === undefined ? (
        <Empty title="No model of this database can be run">
          <p>Steering needs a model's weights. Add a model under Data.</p>
        </Empty>
      ) : (
        <Workbench key={model.model_id} registry={registry} model={model} loaded={isModel ? undefined : loaded} />
      )}
    </div>
  );
}

interface WorkbenchProps {
  readonly registry: Registry;
  readonly model: Model;
  readonly loaded: Awaited<ReturnType<typeof loadRun>> | undefined;
}

function Workbench({ registry, model, loaded }: WorkbenchProps) {
  const [parameters, change] = useUrlState();
  const id = model.model_id;
  const state = readSteerState(parameters);
  const maxima = useMaxima(id, state.items);
  const [runs, setRuns] = useState(0);
  const whyNot = whyNotModel(registry, id);
  const whyNoChat = model.instruct ? null : `${id} has no chat template`;
  const kind = (parameters.get("kind") ?? (loaded?.defaultChatMessages || model.instruct ? "chat" : "completion")) as "chat" | "completion";
  const update = (next: Partial<SteerState>) => change({ ...steerChanges(id, { ...state, ...next }), model: id, saved: null });
  const onSaved = (run: string) => {
    change({ saved: run });
    setRuns(runs + 1);
  };
  const props = { model, state, maxima, loaded, onSaved };
  return (
    <div className={css.workbench}>
      <div className={css.settings}>
        <ModelSelect registry={registry} mustRun value={id} onChange={(next) => change({ model: next, feature: null, saved: null, prompt: null })} />
        <section className="stack" aria-labelledby="steered-by">
          <h2 id="steered-by">Steered by</h2>
          <Items model={id} items={state.items} maxima={maxima} onChange={(items) => update({ items })} />
          <AddFeature model={model} onAdd={(item) => update({ items: [...state.items, item] })} />
          <Suggestions model={id} items={state.items} onAdd={(item) => update({ items: [...state.items, item] })} />
        </section>
        <Settings settings={state.settings} onChange={(settings) => update({ settings })} />
        <SavedRuns model={id} count={runs} />
      </div>
      <div className={css.texts}>
        <div className="spread">
          <Segments
            name="What is written"
            value={kind}
            options={[
              ["completion", "Completion"],
              ["chat", "Chat", whyNoChat],
            ]}
            onChange={(next) => change({ kind: next })}
          />
          {whyNoChat && <span className="muted">{whyNoChat}, so it completes texts</span>}
        </div>
        {whyNot !== null ? <Reason>{whyNot}</Reason> : kind === "chat" ? <Chat {...props} /> : <Completion {...props} />}
      </div>
    </div>
  );
}
