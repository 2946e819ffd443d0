// Sends queries over HTTP and subscriptions over graphql-transport-ws, both to the page's own address.
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { Kind, parse } from "graphql";
import { createClient } from "graphql-ws";

import { reviver, variablesIn } from "./exact.js";
import { tail } from "./tail.js";

export const endpoint = import.meta.env.DEV ? "/graphql" : location.pathname;

/** Parse the document again: for a moment after a change of tabs, GraphiQL still passes the previous one's. */
function current(request, options) {
  try {
    const documentAST = parse(request.query);
    const operations = documentAST.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
    const operationName = operations.length === 1 ? operations[0].name?.value : request.operationName;
    return [{ ...request, operationName }, { ...options, documentAST }];
  } catch {
    return [request, options]; // the server will report what is wrong with it
  }
}

/** The text in the variables editor: GraphiQL itself passes parsed variables, which have lost digits. */
export const typed = { variables: () => "" };

/** The request with all digits of its variables. */
function exact(request) {
  return request.variables ? { ...request, variables: variablesIn(typed.variables()) ?? request.variables } : request;
}

/** Fetch an answer with all digits of its numbers. */
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
    // a silent reconnect would hide the events in between: show that the stream ended instead
    retryAttempts: 0,
    jsonMessageReviver: reviver,
  });
  const wsClient = { subscribe: (request, sink) => client.subscribe(request, tail(sink)) };
  const send = createGraphiQLFetcher({ url: endpoint, fetch: fetchExact, wsClient, enableIncrementalDelivery: false });
  return (request, options) => {
    headers = options?.headers;
    return send(...current(exact(request), options));
  };
}
