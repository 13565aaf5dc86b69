/**
 * The editor: CodeMirror with Postgres' dialect, and completion of tables, columns and functions.
 *
 * It lives in a shadow root: there its styles are constructed sheets, which the content security policy
 * allows, where in the page itself they would be inline ones, which it does not.
 */
import { acceptCompletion, autocompletion, type Completion, type CompletionContext } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { PostgreSQL, sql, type SQLNamespace } from "@codemirror/lang-sql";
import { bracketMatching, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { Annotation, Compartment, EditorState, Prec } from "@codemirror/state";
import { drawSelection, EditorView, highlightSpecialChars, keymap, lineNumbers, placeholder } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { type RefObject, useEffect, useRef } from "react";
import { type Schema, useSchema } from "./useSchema.ts";

interface Props {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly onRun: () => void;
  /** Character that the last failure is about, from 1. */
  readonly errorAt: number | null;
  readonly insert: RefObject<((text: string) => void) | null>;
}

/** Marks changes that come from outside the editor. */
const given = Annotation.define<boolean>();

const theme = EditorView.theme({
  "&": { fontSize: "13px", backgroundColor: "transparent", color: "var(--text)" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.65", maxHeight: "42vh", minHeight: "128px" },
  ".cm-content": { caretColor: "var(--text)", padding: "12px 0" },
  ".cm-gutters": { backgroundColor: "transparent", border: "none", color: "var(--text-3)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { background: "light-dark(#d9def9, #2b3160)" },
  ".cm-tooltip": { border: "none", borderRadius: "8px", background: "var(--surface)", color: "var(--text)", boxShadow: "var(--shadow-2)" },
  ".cm-tooltip-autocomplete ul li": { padding: "3px 10px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { background: "var(--accent-soft)", color: "var(--text)" },
  ".cm-completionDetail": { color: "var(--text-3)", fontStyle: "normal", marginLeft: "12px" },
  ".cm-placeholder": { color: "var(--text-3)" },
});

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword], color: "light-dark(#4338ca, #a5b4fc)" },
  { tag: [tags.string, tags.special(tags.string)], color: "light-dark(#0b6b4a, #6ee7b7)" },
  { tag: [tags.number, tags.bool, tags.null], color: "light-dark(#9a4d00, #fdba74)" },
  { tag: [tags.comment], color: "var(--text-3)" },
  { tag: [tags.typeName, tags.standard(tags.name)], color: "light-dark(#0369a1, #7dd3fc)" },
]);

/**
 * Typing over a selection, done by the editor: left to the browser it would keep the look of what it
 * replaces in an inline style, which the content security policy forbids and the console then tells.
 */
const typedOverSelection = EditorView.domEventHandlers({
  beforeinput(event, view) {
    if (event.inputType !== "insertText" || event.data === null || view.composing || view.state.selection.main.empty) return false;
    event.preventDefault();
    view.dispatch(view.state.update(view.state.replaceSelection(event.data), { userEvent: "input.type", scrollIntoView: true }));
    return true;
  },
});

export default function Editor({ value, onChange, onRun, errorAt, insert }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const latest = useRef({ onChange, onRun });
  const language = useRef(new Compartment());
  // Texts that were told and have not come back as `value` yet. One that comes back late must not undo what was typed since.
  const told = useRef<string[]>([]);
  const { data: schema } = useSchema();
  useEffect(() => {
    latest.current = { onChange, onRun };
  });

  useEffect(() => {
    const host = place.current;
    if (host === null) return;
    const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
    const editor = new EditorView({
      parent: root,
      root,
      state: EditorState.create({
        doc: value,
        extensions: [
          lineNumbers(),
          history(),
          drawSelection(),
          highlightSpecialChars(),
          bracketMatching(),
          autocompletion({ icons: false }),
          EditorView.lineWrapping,
          theme,
          syntaxHighlighting(colours),
          placeholder("SELECT …"),
          language.current.of(dialect(undefined)),
          EditorView.contentAttributes.of({ "aria-label": "SQL statement", spellcheck: "false" }),
          Prec.highest(
            keymap.of([
              { key: "Mod-Enter", run: () => (latest.current.onRun(), true) },
              { key: "Tab", run: acceptCompletion },
            ]),
          ),
          keymap.of([...defaultKeymap, ...historyKeymap]),
          typedOverSelection,
          EditorView.updateListener.of((update) => {
            if (!update.docChanged || update.transactions.some((change) => change.annotation(given) === true)) return;
            const text = update.state.doc.toString();
            told.current.push(text);
            latest.current.onChange(text);
          }),
        ],
      }),
    });
    view.current = editor;
    insert.current = (text) => {
      editor.dispatch(editor.state.replaceSelection(text));
      editor.focus();
    };
    return () => editor.destroy();
    // The editor is made once; later values are given to it below.
  }, []);

  useEffect(() => {
    const editor = view.current;
    const own = told.current.lastIndexOf(value);
    told.current.splice(0, own + 1);
    if (editor === null || own >= 0 || editor.state.doc.toString() === value) return;
    editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: value }, annotations: given.of(true) });
  }, [value]);

  useEffect(() => {
    view.current?.dispatch({ effects: language.current.reconfigure(dialect(schema)) });
  }, [schema]);

  useEffect(() => {
    const editor = view.current;
    if (editor === null || errorAt === null) return;
    const at = Math.min(Math.max(errorAt - 1, 0), editor.state.doc.length);
    editor.dispatch({ selection: { anchor: at }, scrollIntoView: true });
  }, [errorAt]);

  return <div ref={place} />;
}

function dialect(schema: Schema | undefined) {
  const tables: SQLNamespace = Object.fromEntries(
    (schema?.relations ?? []).map((relation) => [
      relation.name,
      {
        self: { label: relation.name, type: "type", detail: relation.isView ? "view" : "table" },
        children: relation.columns.map((column) => ({ label: column.name, detail: column.type, type: "property" })),
      },
    ]),
  );
  const functions: Completion[] = (schema?.functions ?? []).map(({ name, arguments: list }) => ({
    label: name,
    type: "function",
    detail: list.length > 60 ? `${list.slice(0, 60)}…` : list,
    apply: `${name}(`,
  }));
  const complete = (context: CompletionContext) => {
    const word = context.matchBefore(/[a-z_]\w*$/i);
    if (word === null || context.state.sliceDoc(word.from - 1, word.from) === ".") return null;
    return { from: word.from, options: functions, validFor: /^\w*$/ };
  };
  const support = sql({ dialect: PostgreSQL, schema: tables, upperCaseKeywords: true });
  return [support, support.language.data.of({ autocomplete: complete })];
}
