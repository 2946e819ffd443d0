// Beside the query: a button that makes a link of it, and what keeps the editors in step with the tabs.
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

/** Keeps the editors at the tab that is chosen, and the cursor in its query, from where Ctrl-Enter runs it. */
export function Settle() {
  const { changeTab } = useGraphiQLActions();
  const queryEditor = useGraphiQL((state) => state.queryEditor);
  const active = useGraphiQL((state) => state.activeTabIndex);
  const ready = useGraphiQL(
    ({ queryEditor, variableEditor, headerEditor, responseEditor }) =>
      [queryEditor, variableEditor, headerEditor, responseEditor].every(Boolean),
  );

  // a tab chosen before the editors were there is not what they begin with
  useEffect(() => {
    if (ready) {
      changeTab(active);
      queryEditor.updateOptions({ wordWrap: "on" });
    }
  }, [ready]);

  // in good time, or else the explorer takes the cursor for a field of its own
  useEffect(() => {
    queryEditor?.focus();
    document.querySelector(".graphiql-tab-active")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [queryEditor, active]);

  return null;
}
