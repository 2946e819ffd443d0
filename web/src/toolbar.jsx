// The toolbar's additions: a button that copies a link, and two components that keep editors and tabs in step.
import { ToolbarButton, useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { useEffect } from "react";

import { typed } from "./fetcher.js";
import { share } from "./share.js";

const CHAIN =
  "M6.5 9.5a3 3 0 0 0 4.3 0l2.3-2.3a3 3 0 0 0-4.3-4.3l-.9.9M9.5 6.5a3 3 0 0 0-4.3 0L2.9 8.8a3 3 0 0 0 4.3 4.3l.9-.9";

export function ShareButton() {
  const queryEditor = useGraphiQL((state) => state.queryEditor);
  const variableEditor = useGraphiQL((state) => state.variableEditor);
  const onClick = () => share(queryEditor.getValue(), variableEditor?.getValue() ?? "");
  return (
    <ToolbarButton label="Copy a link to this query" onClick={onClick}>
      <svg className="graphiql-toolbar-icon" viewBox="0 0 16 16" fill="none" aria-hidden="true">
        <path d={CHAIN} stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" />
      </svg>
    </ToolbarButton>
  );
}

/** Lets the fetcher read the variables as they are typed. */
export function Typed() {
  const variableEditor = useGraphiQL((state) => state.variableEditor);
  useEffect(() => {
    typed.variables = () => variableEditor?.getValue() ?? "";
  }, [variableEditor]);
  return null;
}

/** Shows the chosen tab in the editors, with the cursor in its query, so that Ctrl-Enter runs it. */
export function Settle() {
  const { changeTab } = useGraphiQLActions();
  const queryEditor = useGraphiQL((state) => state.queryEditor);
  const active = useGraphiQL((state) => state.activeTabIndex);
  const ready = useGraphiQL(
    ({ queryEditor, variableEditor, headerEditor, responseEditor }) =>
      [queryEditor, variableEditor, headerEditor, responseEditor].every(Boolean),
  );

  // the editors do not start with a tab that was chosen before they existed
  useEffect(() => {
    if (ready) {
      changeTab(active);
      queryEditor.updateOptions({ wordWrap: "on" });
    }
  }, [ready]);

  // early enough: otherwise the explorer moves the cursor into one of its own fields
  useEffect(() => {
    queryEditor?.focus();
    document.querySelector(".graphiql-tab-active")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [queryEditor, active]);

  return null;
}
