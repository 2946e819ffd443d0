// What Apollo Client does with the API; `client` comes from the example in the docs.
import { gql } from "@apollo/client";

const TWO = gql`{
  user: aggregate(type: "user", id: "42") { id type aggregateId lastEventType }
  order: aggregate(type: "order", id: "42") { id type aggregateId lastEventType }
  event(id: "42") { id messageId type aggregate { id type } }
}`;
const LISTS = gql`{
  aggregates { nodes { id type aggregateId } }
  eventTypes { id type }
  rejectedEvents { nodes { id code } }
}`;
const PAGE = gql`query ($after: String) {
  node(id: "aggregate:user/42") { id ... on Aggregate {
    events(first: 2, after: $after) { edges { cursor node { id type } } pageInfo { hasNextPage endCursor } }
  } }
}`;
const FEED = gql`subscription { events(from: BEGINNING) {
  ... on Event { id type aggregate { id version } } ... on CaughtUp { cursor }
} }`;
const cached = (query) => client.cache.readQuery({ query });

const report = { warnings: [] };
for (const level of ["warn", "error"]) console[level] = (...words) => report.warnings.push(words.join(" "));
report.answer = (await client.query({ query: TWO, fetchPolicy: "network-only" })).data;
report.cached = cached(TWO);
report.lists = (await client.query({ query: LISTS })).data;
report.cachedAfterLists = cached(TWO);
report.cachedLists = cached(LISTS);
// parts of a page that select different fields of the same object
for (const part of ["id head", "id rejected", "id versions { mongodb }"]) await client.query({ query: gql`{ log { ${part} } }` });
report.log = cached(gql`{ log { id head rejected versions { mongodb } } }`);
for (const part of ["totalEvents", "eventTypes"]) await client.query({ query: gql`{ stats { ${part} } }` });
report.stats = cached(gql`{ stats { totalEvents eventTypes } }`);
const pages = client.watchQuery({ query: PAGE });
const subscription = pages.subscribe(() => {});
for (let page = (await pages.refetch()).data.node.events.pageInfo; page.hasNextPage; ) {
  const more = await pages.fetchMore({ variables: { after: page.endCursor } });
  page = more.data.node.events.pageInfo;
}
report.pages = cached(PAGE).node.events.edges.map(({ node }) => node.id);
subscription.unsubscribe();
report.deliveries = await new Promise((done, failed) => {
  const items = [];
  const following = client.subscribe({ query: FEED }).subscribe({
    next: ({ data, error }) => {
      if (error) failed(error);
      items.push(data.events);
      if (data.events.__typename !== "CaughtUp") return;
      following.unsubscribe();
      done(items);
    },
    error: failed,
  });
});
report.objects = Object.keys(client.cache.extract()).filter((key) => !key.startsWith("ROOT"));
report.cachedAfterAll = cached(TWO);
console.log(JSON.stringify(report));
process.exit();
