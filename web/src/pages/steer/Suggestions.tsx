/**
 * Features to begin with: those whose effect on words is strongest, as presets one click away.
 */
import { useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { select } from "@/api/sql.ts";
import { tokenAlone } from "@/lib/tokens.ts";
import { SUGGESTIONS } from "@/queries/features.ts";
import css from "./SteerPage.module.css";
import type { SteerItem } from "./steerState.ts";

const OFFERED = 8;

interface Props {
  readonly model: string;
  readonly items: readonly SteerItem[];
  readonly onAdd: (item: SteerItem) => void;
}

export function Suggestions({ model, items, onAdd }: Props) {
  const { data } = useQuery({ queryKey: ["suggestions", model], queryFn: ({ signal }) => select(SUGGESTIONS, [model], signal) });
  const open = (data ?? []).filter((row) => !items.some((item) => item.source === row.source_id && item.index === row.index.toString()));
  const offered = open.slice(0, OFFERED);
  if (offered.length === 0) return null;
  return (
    <div>
      <p className={css.small}>Strong effects to begin with</p>
      <div className={css.presets}>
        {offered.map((row) => (
          <button
            key={`${row.source_id}/${row.index}`}
            type="button"
            title={`${row.source_id}/${row.index}`}
            onClick={() => onAdd({ source: row.source_id, index: row.index.toString(), strength: { times: 2 }, isOff: false })}
          >
            <Plus size={11} aria-hidden />
            {row.promotes.slice(0, 2).map(tokenAlone).join(" ")}
          </button>
        ))}
      </div>
    </div>
  );
}
