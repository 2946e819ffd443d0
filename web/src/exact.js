// JSON whose numbers keep their digits: JavaScript has no exact integers beyond 2^53, and writes 1.0 as 1.
import { parseTree } from "jsonc-parser";

/** A reviver for JSON.parse: a number that would lose digits becomes raw JSON, which JSON.stringify writes unchanged. */
export function reviver(_key, value, context) {
  if (typeof value !== "number" || JSON.stringify(value) === context?.source) {
    return value;
  }
  if (JSON.rawJSON && context?.source) {
    return JSON.rawJSON(context.source);
  }
  return isLost(value) ? `about ${value}: this browser is too old to show all digits` : value;
}

/** The value of the variables editor's text: JSON that may have comments and trailing commas. */
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
      return exactNumber(value, text.slice(offset, offset + length));
    default:
      return value;
  }
}

function isLost(number) {
  return Number.isInteger(number) && !Number.isSafeInteger(number);
}

function exactNumber(number, source) {
  if (!JSON.rawJSON && isLost(number)) {
    throw new Error(`This browser is too old to send ${source} exactly as a variable: write it into the query.`);
  }
  return reviver("", number, { source });
}
