// Links to a query: an address with ?query=…&variables=… opens it in a tab of its own.
/** The query in the page's address as a tab; undefined if there is none. */
export function shared() {
  const parameters = new URLSearchParams(location.search);
  const query = parameters.get("query");
  return query === null ? undefined : { query, variables: parameters.get("variables") ?? "" };
}

/** Put a link to the query into the address bar, and onto the clipboard if the browser allows it. */
export async function share(query, variables) {
  const link = new URL(location.href);
  link.search = new URLSearchParams(variables.trim() ? { query, variables } : { query }).toString();
  history.replaceState(null, "", link);
  await navigator.clipboard?.writeText(link.href).catch(() => undefined);
}

/** Remove the query from the address once it was edited, so that a reload does not bring the old one back. */
export function unshare() {
  if (location.search) {
    history.replaceState(null, "", location.pathname);
  }
}
