/**
 * The dashboard of any feature in a dialog, over the page that mentions it. Which one stands in the
 * address, so that Back closes it and a link opens it.
 */
import { ExternalLink } from "lucide-react";
import { lazy, Suspense } from "react";
import { Link, useSearchParams } from "react-router";
import { featurePath, formatAddress, parseAddress } from "@/lib/address.ts";
import { inert } from "@/lib/inert.ts";
import { Dialog } from "./Dialog.tsx";
import { PEEK } from "./FeatureLink.tsx";
import { Skeleton } from "./Status.tsx";

const FeatureDashboard = lazy(() => import("@/pages/feature/FeatureDashboard.tsx"));

export function FeatureDialog() {
  const [parameters, setParameters] = useSearchParams();
  const address = parseAddress(parameters.get(PEEK) ?? "");
  if (address === null) return null;
  const close = () =>
    setParameters(
      (before) => {
        const after = new URLSearchParams(before);
        after.delete(PEEK);
        return after;
      },
      { preventScrollReset: true },
    );
  return (
    <Dialog
      key={formatAddress(address)}
      size="large"
      title={inert(formatAddress(address), 120)}
      onClose={close}
      actions={
        <Link className="button small" to={featurePath(address)}>
          Open page <ExternalLink size={13} aria-hidden />
        </Link>
      }
    >
      <Suspense fallback={<Skeleton lines={8} />}>
        <FeatureDashboard address={address} isDialog />
      </Suspense>
    </Dialog>
  );
}
