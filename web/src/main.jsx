// The page at /graphql: GraphiQL with an explorer, history, example queries and live events.
import "./workers.js";
import { explorerPlugin } from "@graphiql/plugin-explorer";
import { HISTORY_PLUGIN } from "@graphiql/plugin-history";
import { GraphiQL } from "graphiql";
import { createRoot } from "react-dom/client";

import "graphiql/style.css";
import "@graphiql/plugin-explorer/style.css";
import "./style.css";

import icon from "./favicon.svg";
import { examples } from "./examples.js";
import { fetcher } from "./fetcher.js";
import { examplesPlugin } from "./panel.jsx";
import { shared, unshare } from "./share.js";
import { storage } from "./storage.js";
import { Settle, ShareButton, Typed } from "./toolbar.jsx";

const WIDE = 1100; // pixels; a narrower window starts with the editors only

const linked = shared();
const tabs = await examples();
const explorer = { ...explorerPlugin({ showAttribution: false }), title: "Explorer" };

createRoot(document.getElementById("root")).render(
  <GraphiQL
    fetcher={fetcher()}
    storage={storage}
    plugins={[explorer, examplesPlugin(tabs), HISTORY_PLUGIN]}
    visiblePlugin={innerWidth >= WIDE ? explorer : undefined}
    shouldPersistHeaders={false}
    defaultEditorToolsVisibility="variables"
    defaultTabs={linked ? [linked, ...tabs] : tabs}
    initialQuery={linked?.query}
    initialVariables={linked?.variables}
    onEditQuery={unshare}
    onEditVariables={unshare}
  >
    <GraphiQL.Logo>
      <img className="mark" src={icon} alt="" />
      Eventscope
    </GraphiQL.Logo>
    <GraphiQL.Toolbar>
      {({ prettify, merge, copy }) => (
        <>
          {prettify}
          {merge}
          {copy}
          <ShareButton />
          <Settle />
          <Typed />
        </>
      )}
    </GraphiQL.Toolbar>
  </GraphiQL>,
);
