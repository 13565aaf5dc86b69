/**
 * Search: features by their explanation, by a text run through the model, token by token, or by a token
 * that they promote. Everything asked stands in the address.
 */
import { useRegistry } from "@/api/registry.ts";
import { useUrlState } from "@/app/urlState.ts";
import { useTitle } from "@/app/useTitle.ts";
import { Segments } from "@/components/Segments.tsx";
import { ErrorNote, Skeleton } from "@/components/Status.tsx";
import { LabelSearch } from "./LabelSearch.tsx";
import { LogitSearch } from "./LogitSearch.tsx";
import css from "./SearchPage.module.css";
import { TextSearchForm } from "./TextSearch.tsx";
import { TokenSearchForm } from "./TokenSearch.tsx";

const MODES = {
  label: ["By explanation", LabelSearch],
  text: ["By text", TextSearchForm],
  token: ["Token by token", TokenSearchForm],
  logit: ["By promoted token", LogitSearch],
} as const;
type Mode = keyof typeof MODES;

export default function SearchPage() {
  const [parameters, change] = useUrlState();
  const { data: registry, error, refetch } = useRegistry();
  const asked = parameters.get("mode") ?? "label";
  const mode: Mode = asked in MODES ? (asked as Mode) : "label";
  const [name, Search] = MODES[mode];
  useTitle(`Search ${name.toLowerCase()}`);
  return (
    <div className={`page ${css.page}`}>
      <header className={css.head}>
        <h1>Search</h1>
        <Segments
          name="What to search by"
          value={mode}
          options={Object.entries(MODES).map(([key, [label]]) => [key as Mode, label] as const)}
          onChange={(next) => change({ mode: next }, { replace: false })}
        />
      </header>
      {error ? (
        <ErrorNote error={error} retry={() => void refetch()} />
      ) : registry === undefined ? (
        <Skeleton lines={6} height={20} />
      ) : (
        <Search registry={registry} />
      )}
    </div>
  );
}
