// The plain page: sends the question to the page's own address and shows the answer as it comes.

const question = document.getElementById("question");
const query = document.getElementById("query");
const variables = document.getElementById("variables");
const answer = document.querySelector("#answer pre");

const given = new URLSearchParams(location.search);
query.value = given.get("query") ?? query.value;
variables.value = given.get("variables") ?? (given.has("query") ? "" : variables.value);

/** Keeps the digits of a number that JavaScript would write otherwise. */
function exact(_key, value, context) {
  const changed = typeof value === "number" && JSON.stringify(value) !== context?.source;
  return changed && JSON.rawJSON && context?.source ? JSON.rawJSON(context.source) : value;
}

async function run() {
  let asked;
  try {
    const given = variables.value.trim() || "null";
    JSON.parse(given);
    // the text itself, whose numbers have all their digits
    asked = `{"query": ${JSON.stringify(query.value)}, "variables": ${given}}`;
  } catch (error) {
    return `The variables are not JSON: ${error.message}`;
  }
  try {
    const response = await fetch(location.pathname, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json" },
      body: asked,
    });
    const text = await response.text();
    try {
      const shown = JSON.parse(text, exact);
      return JSON.rawJSON ? JSON.stringify(shown, null, 2) : text;
    } catch {
      return `${response.status} ${response.statusText}\n${text}`;
    }
  } catch (error) {
    return `The server did not answer: ${error.message}`;
  }
}

question.addEventListener("submit", async (event) => {
  event.preventDefault();
  answer.textContent = "…";
  answer.textContent = await run();
});

question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    question.requestSubmit();
  }
});
