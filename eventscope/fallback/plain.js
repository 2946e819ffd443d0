// The plain page: sends the question to the page's own address and shows the answer as it comes.

const question = document.getElementById("question");
const query = document.getElementById("query");
const variables = document.getElementById("variables");
const answer = document.querySelector("#answer pre");

const given = new URLSearchParams(location.search);
query.value = given.get("query") ?? query.value;
variables.value = given.get("variables") ?? (given.has("query") ? "" : variables.value);

async function run() {
  let asked;
  try {
    asked = JSON.stringify({ query: query.value, variables: JSON.parse(variables.value.trim() || "null") });
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
      return JSON.stringify(JSON.parse(text), null, 2);
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
