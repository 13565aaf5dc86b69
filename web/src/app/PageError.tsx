/**
 * What stands in the place of a page that failed to draw itself.
 */
import { Link, useRouteError } from "react-router";
import { Empty, ErrorNote } from "@/components/Status.tsx";

export function PageError() {
  const error = useRouteError();
  return (
    <div className="page stack">
      <Empty title="This page failed">
        <p>
          <Link to="/">Home</Link>
        </p>
      </Empty>
      <ErrorNote error={error} retry={() => window.location.reload()} />
    </div>
  );
}
