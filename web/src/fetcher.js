// How the page asks: queries over HTTP, subscriptions over graphql-transport-ws, both at the page's own address.
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { Kind, parse } from "graphql";
import { createClient } from "graphql-ws";

import { reviver, variablesIn } from "./exact.js";
import { tail } from "./tail.js";

export const endpoint = import.meta.env.DEV ? "/graphql" : location.pathname;

/** Read the document anew: for a moment after a tab was changed, GraphiQL still tells of the one before. */
function current(request, options) {
  try {
    const documentAST = parse(request.query);
    const operations = documentAST.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
    const operationName = operations.length === 1 ? operations[0].name?.value : request.operationName;
    return [{ ...request, operationName }, { ...options, documentAST }];
  } catch {
    return [request, options]; // what is wrong with it is for the server to say
  }
}

/** What is typed into the variables' editor: GraphiQL hands on what JavaScript makes of it, without all digits. */
export const typed = { variables: () => "" };

/** The variables with the digits that were typed. */
function exact(request) {
  return request.variables ? { ...request, variables: variablesIn(typed.variables()) ?? request.variables } : request;
}

/** Ask, for an answer with all digits. */
async function fetchExact(...request) {
  const response = await fetch(...request);
  return { json: async () => JSON.parse(await response.text(), reviver) };
}

/** The fetcher GraphiQL calls; the headers typed in its editor also go into the WebSocket's first message. */
export function fetcher() {
  let headers;
  const client = createClient({
    url: new URL(endpoint, location.href.replace(/^http/, "ws")).href,
    connectionParams: () => headers,
    keepAlive: 15_000,
    // a silent reconnect would hide the events in between: say that the stream ended instead
    retryAttempts: 0,
    jsonMessageReviver: reviver,
  });
  const wsClient = { subscribe: (request, sink) => client.subscribe(request, tail(sink)) };
  const ask = createGraphiQLFetcher({ url: endpoint, fetch: fetchExact, wsClient, enableIncrementalDelivery: false });
  return (request, options) => {
    headers = options?.headers;
    return ask(...current(exact(request), options));
  };
}
