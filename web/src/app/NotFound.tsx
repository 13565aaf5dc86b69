/**
 * What stands at an address that has no page.
 */
import { Link, useLocation } from "react-router";
import { Empty } from "@/components/Status.tsx";
import { inert } from "@/lib/inert.ts";
import { useTitle } from "./useTitle.ts";

export default function NotFound() {
  const { pathname } = useLocation();
  useTitle("Not found");
  return (
    <div className="page">
      <Empty title="There is no such page">
        <p className="label-text">{inert(pathname, 200)}</p>
        <p>
          <Link to="/">See what is in this database</Link>
        </p>
      </Empty>
    </div>
  );
}
