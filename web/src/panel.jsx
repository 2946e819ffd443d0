// The panel that lists the example queries with their descriptions: a click opens one in a tab.
import { useGraphiQL, useGraphiQLActions } from "@graphiql/react";

function Icon(props) {
  return (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" {...props}>
      <path d="M4 6h1M4 12h1M4 18h1M9 6h11M9 12h11M9 18h11" />
    </svg>
  );
}

function Panel({ examples }) {
  const { addTab, changeTab } = useGraphiQLActions();
  const queryEditor = useGraphiQL((state) => state.queryEditor);
  const variableEditor = useGraphiQL((state) => state.variableEditor);
  const tabs = useGraphiQL((state) => state.tabs);

  function open({ query, variables }) {
    const index = tabs.findIndex((tab) => tab.query === query);
    if (index >= 0) {
      changeTab(index);
      return;
    }
    addTab();
    queryEditor.setValue(query);
    variableEditor?.setValue(variables);
  }

  return (
    <section className="examples" aria-label="Examples">
      <h2>Examples</h2>
      {examples.map((example) => (
        <button key={example.title} type="button" onClick={() => open(example)}>
          <strong>{example.title}</strong>
          {example.about}
        </button>
      ))}
    </section>
  );
}

/** The panel as a GraphiQL plugin. */
export const examplesPlugin = (examples) => ({
  title: "Examples",
  icon: Icon,
  content: () => <Panel examples={examples} />,
});
