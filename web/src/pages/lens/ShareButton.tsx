/**
 * Keeps a reading on the server and copies the link to it.
 */
import { useMutation } from "@tanstack/react-query";
import { Check, Share2 } from "lucide-react";
import { Link } from "react-router";
import { shareReading } from "@/api/lens.ts";
import { ErrorNote } from "@/components/Status.tsx";

interface Props {
  readonly model: string;
  readonly text: string;
  readonly onlyWords: boolean;
}

export function ShareButton(reading: Props) {
  const { mutate, data: path, error, isPending, variables } = useMutation({
    mutationFn: (asked: Props) => shareReading(asked),
    onSuccess: (kept) => navigator.clipboard.writeText(new URL(kept, window.location.href).href).catch(() => undefined),
  });
  const isThis = variables?.model === reading.model && variables.text === reading.text && variables.onlyWords === reading.onlyWords;
  return (
    <>
      {error && <ErrorNote error={error} />}
      {path !== undefined && isThis ? (
        <Link to={path} className="button quiet small">
          <Check size={13} aria-hidden /> Kept, and its link copied
        </Link>
      ) : (
        <button type="button" className="button quiet small" disabled={isPending} onClick={() => mutate(reading)}>
          <Share2 size={13} aria-hidden /> {isPending ? "Keeping…" : "Keep and share"}
        </button>
      )}
    </>
  );
}
