// Remembers tabs, history and layout between visits, but never request headers, which may hold tokens.

const OURS = "graphiql:";
// with shouldPersistHeaders={false}, GraphiQL keeps headers out of its tabs, but not out of these two
const HISTORY = new Set([`${OURS}queries`, `${OURS}favorites`]);

const keys = () => Object.keys(localStorage).filter((key) => key.startsWith(OURS));

const withoutHeaders = (text) =>
  JSON.stringify(JSON.parse(text), (key, value) => (key === "headers" ? undefined : value));

export const storage = {
  getItem: (key) => localStorage.getItem(key),
  setItem: (key, text) => localStorage.setItem(key, HISTORY.has(key) ? withoutHeaders(text) : text),
  removeItem: (key) => localStorage.removeItem(key),
  clear: () => keys().forEach((key) => localStorage.removeItem(key)),
  get length() {
    return keys().length;
  },
};
