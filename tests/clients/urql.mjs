// What urql with its normalised cache does with the API; `client` comes from the example in the docs.
const TWO = `{
  user: aggregate(type: "user", id: "42") { id type aggregateId lastEventType }
  order: aggregate(type: "order", id: "42") { id type aggregateId lastEventType }
  event(id: "42") { id messageId type aggregate { id type } }
}`;
const LISTS = `{
  aggregates { nodes { id type aggregateId } coverage { complete } totalCount { exact } }
  eventTypes { id type aggregateTypes { type } fields { path jsonTypes { jsonType } } drifts { path } }
  rejectedEvents { nodes { id code } }
  stats { totalEvents timeRange { latest } eventTypeBreakdown { type } histogram { start } }
  trace(correlationId: "t") { nodes { event { id } } }
  log { id head ingestLag { events } retention { days } versions { mongodb } subscriptions { count }
    lostMessages { from } rejectedDropped { codes { count } } }
}`;
const PAGE = `query ($after: String) { aggregate(type: "user", id: "42") { id
  events(first: 2, after: $after) { edges { node { id } } nodes { id } pageInfo { hasNextPage endCursor } } } }`;
const FEED = `subscription { events(from: BEGINNING) {
  __typename ... on Event { id type aggregate { id version } } ... on CaughtUp { cursor }
} }`;

const report = { warnings: [] };
for (const level of ["warn", "error"]) console[level] = (...words) => report.warnings.push(words.join(" "));
async function answer(query, variables, requestPolicy) {
  const { data, error } = await client.query(query, variables, { requestPolicy }).toPromise();
  if (error) throw error;
  return data;
}
const cached = (query, variables) => answer(query, variables, "cache-only");

report.answer = await answer(TWO, {}, "network-only");
report.cached = await cached(TWO, {});
report.lists = await answer(LISTS, {});
report.cachedAfterLists = await cached(TWO, {});
report.cachedLists = await cached(LISTS, {});
for (const part of ["totalEvents", "eventTypes"]) await answer(`{ stats { ${part} } }`, {});
report.stats = await cached("{ stats { totalEvents eventTypes } }", {});
for (let after = null, more = true; more; ) {
  const { hasNextPage, endCursor } = (await answer(PAGE, { after })).aggregate.events.pageInfo;
  [after, more] = [endCursor, hasNextPage];
}
report.pages = (await cached(PAGE, { after: null })).aggregate.events.edges.map(({ node }) => node.id);
report.deliveries = await new Promise((done, failed) => {
  const items = [];
  const { unsubscribe } = client.subscription(FEED, {}).subscribe(({ data, error }) => {
    if (error) failed(error);
    items.push(data.events);
    if (data.events.__typename === "CaughtUp") done(items);
  });
});
report.cachedAfterAll = await cached(TWO, {});
console.log(JSON.stringify(report));
process.exit();
