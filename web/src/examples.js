// The example queries that a newcomer finds as tabs, with ids from the newest events, so that each has a result.
import { endpoint } from "./fetcher.js";

const texts = Object.values(import.meta.glob("./examples/*.graphql", { query: "?raw", import: "default", eager: true }));

const NEWEST = "{ events(first: 20) { nodes { aggregateType aggregateId userId } } }";

async function newest() {
  try {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query: NEWEST }),
      signal: AbortSignal.timeout(2000),
    });
    return (await response.json()).data?.events.nodes ?? [];
  } catch {
    return []; // the page opens anyway, and the first query will show what is wrong
  }
}

/** The example queries as GraphiQL tabs, each with a title and a description. */
export async function examples() {
  const nodes = await newest();
  const event = nodes.find((node) => node.aggregateId);
  const sampleValues = {
    type: event?.aggregateType ?? "user",
    id: event?.aggregateId ?? "user-1",
    userId: nodes.find((node) => node.userId)?.userId ?? "user-1",
    after: null,
  };
  return texts.map((text) => {
    const names = [...text.matchAll(/\$(\w+):/g)].map(([, name]) => name);
    const values = Object.fromEntries(names.map((name) => [name, sampleValues[name]]));
    return {
      title: /^(?:query|subscription) (\w+)/m.exec(text)[1],
      about: [...text.matchAll(/^# (.*)/gm)].map(([, line]) => line).join(" "),
      query: text.trimEnd(),
      variables: names.length ? JSON.stringify(values, null, 2) : "",
    };
  });
}
