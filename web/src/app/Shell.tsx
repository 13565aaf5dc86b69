/**
 * What surrounds every page: the bar with the ways to all of them, the keys that work everywhere, and
 * the dialog in which any feature can be looked at. Embedded pages have none of it but the dialog.
 */
import { Suspense, useRef, useState } from "react";
import { Outlet, ScrollRestoration, useLocation, useNavigate, useSearchParams } from "react-router";
import { FeatureDialog } from "@/components/FeatureDialog.tsx";
import { FeatureHoverCard } from "@/components/FeatureHoverCard.tsx";
import { Empty } from "@/components/Status.tsx";
import { CommandPalette } from "./CommandPalette.tsx";
import { KeysDialog } from "./KeysDialog.tsx";
import { PLACES, useKeys } from "./keys.ts";
import css from "./Shell.module.css";
import { TopBar } from "./TopBar.tsx";
import { useControlK } from "./useControlK.ts";

/** Pages that change data or run statements: no page of another site may lay them under its own buttons. */
const NEVER_FRAMED = ["/data", "/sql", "/api-reference"];

/** How long after `g` a letter still means a place. */
const PATIENCE = 1500;

export function Shell() {
  const navigate = useNavigate();
  const [parameters] = useSearchParams();
  const [isPaletteOpen, setPaletteOpen] = useState(false);
  const [isHelpOpen, setHelpOpen] = useState(false);
  const goPressed = useRef(0);
  const { pathname } = useLocation();
  const isEmbedded = parameters.get("embed") === "true";
  const isRefused = window.top !== window && NEVER_FRAMED.includes(pathname);

  useControlK(() => setPaletteOpen(true));
  useKeys((key, event) => {
    const place = PLACES[key];
    if (place !== undefined && Date.now() - goPressed.current < PATIENCE) {
      goPressed.current = 0;
      event.preventDefault();
      void navigate(place);
      return;
    }
    goPressed.current = key === "g" ? Date.now() : 0;
    if (key === "?") setHelpOpen(true);
    if (key === "/") {
      event.preventDefault();
      focusSearch(() => void navigate("/search"));
    }
  });

  return (
    <>
      {!isEmbedded && (
        <>
          <a className={css.skip} href="#main">
            Skip to content
          </a>
          <TopBar onPalette={() => setPaletteOpen(true)} onHelp={() => setHelpOpen(true)} />
        </>
      )}
      <main id="main" tabIndex={-1} className={isEmbedded ? css.embedded : css.main}>
        {isRefused ? (
          <Empty title="This page does not show itself inside another">
            <a href={pathname} target="_blank" rel="noopener">
              Open it by itself
            </a>
          </Empty>
        ) : (
          <Suspense>
            <Outlet />
          </Suspense>
        )}
      </main>
      <FeatureDialog />
      <FeatureHoverCard />
      {isPaletteOpen && <CommandPalette onClose={() => setPaletteOpen(false)} />}
      {isHelpOpen && <KeysDialog onClose={() => setHelpOpen(false)} />}
      <ScrollRestoration getKey={(location) => location.pathname} />
    </>
  );
}

/** The page's own search field, or the search page where it has none. */
function focusSearch(otherwise: () => void): void {
  const field = document.querySelector<HTMLElement>("[data-search]");
  if (field === null) otherwise();
  else field.focus();
}
