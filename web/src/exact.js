// JSON whose numbers keep their digits: JavaScript knows no integers beyond 2^53, and writes 1.0 as 1.
import { parseTree } from "jsonc-parser";

/** For JSON.parse: a number that would be written otherwise becomes raw JSON, which JSON.stringify writes as it was. */
export function reviver(_key, value, context) {
  if (typeof value !== "number" || JSON.stringify(value) === context?.source) {
    return value;
  }
  if (JSON.rawJSON && context?.source) {
    return JSON.rawJSON(context.source);
  }
  return isLost(value) ? `about ${value}: an older browser has no more digits` : value;
}

/** What the text of the variables' editor says: JSON that may have comments and commas at its ends. */
export function variablesIn(text) {
  const tree = parseTree(text, [], { allowTrailingComma: true });
  return tree && valueOf(tree, text);
}

function valueOf({ type, value, children, offset, length }, text) {
  switch (type) {
    case "object":
      return Object.fromEntries(children.map(({ children: [key, member] }) => [key.value, valueOf(member, text)]));
    case "array":
      return children.map((item) => valueOf(item, text));
    case "number":
      return sent(value, text.slice(offset, offset + length));
    default:
      return value;
  }
}

function isLost(number) {
  return Number.isInteger(number) && !Number.isSafeInteger(number);
}

function sent(number, source) {
  if (!JSON.rawJSON && isLost(number)) {
    throw new Error(`This browser is too old to send ${source} as it is: write it into the query.`);
  }
  return reviver("", number, { source });
}
