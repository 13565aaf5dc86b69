/**
 * The bar at the top: where to go, the palette, the theme, the key for changes.
 */
import { Keyboard, KeyRound, Menu, Monitor, Moon, Search, Sun } from "lucide-react";
import { useState } from "react";
import { Link, NavLink, useLocation } from "react-router";
import { currentKey } from "@/api/key.ts";
import { KeyDialog } from "./KeyDialog.tsx";
import css from "./Shell.module.css";
import { chooseTheme, useIsDark } from "./theme.ts";

const PAGES = [
  ["/search", "Search"],
  ["/steer", "Steer"],
  ["/lens", "Lens"],
  ["/sql", "SQL"],
  ["/evals", "Evals"],
  ["/data", "Data"],
  ["/api-reference", "API"],
] as const;

interface Props {
  readonly onPalette: () => void;
  readonly onHelp: () => void;
}

export function TopBar({ onPalette, onHelp }: Props) {
  const { pathname } = useLocation();
  const [menuAt, setMenuAt] = useState<string | null>(null);
  const [isKeyOpen, setKeyOpen] = useState(false);
  const isMenuOpen = menuAt === pathname;
  return (
    <header className={css.bar}>
      <Link to="/" className={css.brand} aria-label="LatentDB, home">
        <Mark />
        <span>LatentDB</span>
      </Link>
      <nav className={isMenuOpen ? css.navOpen : css.nav} aria-label="Pages">
        {PAGES.map(([path, name]) => (
          <NavLink key={path} to={path} className={({ isActive }) => (isActive ? css.active : undefined)}>
            {name}
          </NavLink>
        ))}
      </nav>
      <div className={css.tools}>
        <button type="button" className={css.palette} onClick={onPalette} aria-label="Jump to a page, source or feature">
          <Search size={14} aria-hidden />
          <span>Jump to…</span>
          <kbd>Ctrl K</kbd>
        </button>
        <button type="button" className="icon-button" onClick={() => setKeyOpen(true)} aria-label="API key">
          <KeyRound size={16} aria-hidden className={currentKey() === "" ? undefined : css.hasKey} />
        </button>
        <button type="button" className={`icon-button ${css.wide}`} onClick={onHelp} aria-label="Keys">
          <Keyboard size={16} aria-hidden />
        </button>
        <ThemeSwitch />
        <button
          type="button"
          className={`icon-button ${css.burger}`}
          aria-label="Pages"
          aria-expanded={isMenuOpen}
          onClick={() => setMenuAt(isMenuOpen ? null : pathname)}
        >
          <Menu size={18} aria-hidden />
        </button>
      </div>
      {isKeyOpen && <KeyDialog onClose={() => setKeyOpen(false)} />}
    </header>
  );
}

function ThemeSwitch() {
  const isDark = useIsDark();
  const isChosen = document.documentElement.dataset.theme !== undefined;
  const next = isDark ? "light" : "dark";
  const Icon = isChosen ? (isDark ? Moon : Sun) : Monitor;
  return (
    <button
      type="button"
      className="icon-button"
      onClick={() => chooseTheme(next)}
      onContextMenu={(event) => {
        event.preventDefault();
        chooseTheme("system");
      }}
      aria-label={`Theme: ${isChosen ? (isDark ? "dark" : "light") : "as the system"}. Change to ${next}`}
      title={isChosen ? "Right click: as the system" : undefined}
    >
      <Icon size={16} aria-hidden />
    </button>
  );
}

/** Nine cells of different strength: features that fire. */
function Mark() {
  const strengths = [0.25, 0.6, 0.2, 0.2, 1, 0.5, 0.4, 0.2, 0.75];
  return (
    <svg width="20" height="20" viewBox="0 0 20 20" aria-hidden className={css.mark}>
      {strengths.map((strength, at) => (
        <rect key={at} x={(at % 3) * 7} y={Math.floor(at / 3) * 7} width="6" height="6" rx="1.6" opacity={strength} />
      ))}
    </svg>
  );
}
