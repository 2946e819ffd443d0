// A question as an address: ?query=…&variables=… opens as a tab of its own.
/** The question in the page's address as a tab, if there is one. */
export function shared() {
  const given = new URLSearchParams(location.search);
  const query = given.get("query");
  return query === null ? undefined : { query, variables: given.get("variables") ?? "" };
}

/** Put a question into the address bar, and onto the clipboard where the browser allows it. */
export async function share(query, variables) {
  const link = new URL(location.href);
  link.search = new URLSearchParams(variables.trim() ? { query, variables } : { query }).toString();
  history.replaceState(null, "", link);
  await navigator.clipboard?.writeText(link.href).catch(() => undefined);
}

/** Take the question out of the address once it has been changed: a reload shall not bring the old one back. */
export function unshare() {
  if (location.search) {
    history.replaceState(null, "", location.pathname);
  }
}
