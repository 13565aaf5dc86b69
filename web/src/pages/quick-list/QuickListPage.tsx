/**
 * A list of features from a link, in the link's order, with a text to test on all of them.
 *
 * The link's grammar is SAELens' and Neuronpedia's, so that links made there work here.
 */
import { useQueries } from "@tanstack/react-query";
import { useState } from "react";
import { useSearchParams } from "react-router";
import { testText } from "@/api/feature.ts";
import { useRegistry, whyNotModel } from "@/api/registry.ts";
import { useUrlState } from "@/app/urlState.ts";
import { useTitle } from "@/app/useTitle.ts";
import { CopyButton } from "@/components/Copy.tsx";
import { Empty, ErrorNote, Reason } from "@/components/Status.tsx";
import { TokenText } from "@/components/TokenText.tsx";
import { formatAddress } from "@/lib/address.ts";
import { formatActivation, plural } from "@/lib/format.ts";
import { inert } from "@/lib/inert.ts";
import { parseQuickList, type QuickList } from "@/lib/quickList.ts";
import { featureQuery } from "@/pages/feature/featureQuery.ts";
import { Hit, RecordExamples } from "@/pages/search/Hit.tsx";
import searchCss from "@/pages/search/SearchPage.module.css";
import css from "./QuickListPage.module.css";

/** Features that a text is tested on at once. */
const MOST_TESTED = 40;

export default function QuickListPage() {
  const [parameters] = useSearchParams();
  const read = readList(parameters);
  useTitle(read.list?.name || "List");
  return (
    <div className="page">
      {read.list === null ? (
        <>
          <h1>List</h1>
          <Empty title="This link has no list that can be read">
            <p>{inert(read.problem)}</p>
            <p>
              <code>/quick-list?name=…&amp;features=[{"{"}"modelId", "layer", "index"{"}"}]</code>
            </p>
          </Empty>
        </>
      ) : (
        <List list={read.list} />
      )}
    </div>
  );
}

function readList(parameters: URLSearchParams): { list: QuickList; problem: null } | { list: null; problem: string } {
  try {
    return { list: parseQuickList(parameters), problem: null };
  } catch (error) {
    return { list: null, problem: error instanceof Error ? error.message : String(error) };
  }
}

function List({ list }: { readonly list: QuickList }) {
  const [parameters, change] = useUrlState();
  const asked = parameters.get("defaulttesttext") ?? "";
  const [text, setText] = useState(asked);
  const { data: registry } = useRegistry();
  const records = useQueries({ queries: list.features.map(featureQuery) });
  const runnable = list.features.filter((address) => whyNotModel(registry, address.model) === null);
  const tested = useQueries({
    queries: list.features.map((address, at) => ({
      queryKey: ["test", address, asked, true],
      queryFn: ({ signal }: { signal: AbortSignal }) => testText(address, asked, true, signal),
      enabled: asked !== "" && at < MOST_TESTED && runnable.includes(address),
    })),
  });
  return (
    <>
      <header className={css.head}>
        <div>
          <h1 className="label-text">{inert(list.name, 200) || "List"}</h1>
          <p className="muted">{plural(list.features.length, "feature")}</p>
        </div>
        <CopyButton name="Link" isSmall={false} text={() => window.location.href} />
      </header>
      {runnable.length === 0 && registry !== undefined ? (
        <Reason>No model of these features can be run here, so no text can be tested on them.</Reason>
      ) : (
        <form
          className={css.form}
          onSubmit={(event) => {
            event.preventDefault();
            change({ defaulttesttext: text });
          }}
        >
          <input className="input" aria-label="Text to test on all features" placeholder="Test a text on all of them" value={text} onChange={(event) => setText(event.target.value)} />
          <button type="submit" className="button primary" disabled={text === ""}>
            Test
          </button>
        </form>
      )}
      {list.features.length > MOST_TESTED && asked !== "" && <Reason>The text is tested on the first {MOST_TESTED} features.</Reason>}
      <ul className={searchCss.hits}>
        {list.features.map((address, at) => {
          const record = records[at];
          const test = tested[at];
          return (
            <Hit
              key={`${formatAddress(address)}-${at}`}
              address={address}
              label={record?.data?.explanations[0]?.description ?? null}
              promotes={record?.data?.pos_str ?? []}
              density={record?.data?.frac_nonzero ?? null}
              maximum={record?.data?.maxActApprox ?? null}
              measure={test?.data === undefined ? at + 1 : formatActivation(test.data.maxValue)}
            >
              <div className={searchCss.examples}>
                {record?.error && <ErrorNote error={record.error} />}
                {test?.error && <ErrorNote error={test.error} />}
                {test?.data && <TokenText tokens={test.data.tokens} values={test.data.values} most={record?.data?.maxActApprox || test.data.maxValue} />}
                <RecordExamples record={record?.data} count={test?.data ? 1 : 2} />
              </div>
            </Hit>
          );
        })}
      </ul>
    </>
  );
}

