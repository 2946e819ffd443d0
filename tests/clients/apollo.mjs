// What Apollo Client makes of the API; `client` is that of the docs.
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

const said = { warnings: [] };
for (const level of ["warn", "error"]) console[level] = (...words) => said.warnings.push(words.join(" "));
said.answered = (await client.query({ query: TWO, fetchPolicy: "network-only" })).data;
said.kept = cached(TWO);
said.lists = (await client.query({ query: LISTS })).data;
said.keptAfterLists = cached(TWO);
said.keptLists = cached(LISTS);
// two parts of a page, each of which needs something else of one thing
for (const part of ["id head", "id rejected", "id versions { mongodb }"]) await client.query({ query: gql`{ log { ${part} } }` });
said.log = cached(gql`{ log { id head rejected versions { mongodb } } }`);
for (const part of ["totalEvents", "eventTypes"]) await client.query({ query: gql`{ stats { ${part} } }` });
said.stats = cached(gql`{ stats { totalEvents eventTypes } }`);
const pages = client.watchQuery({ query: PAGE });
const shown = pages.subscribe(() => {});
for (let page = (await pages.refetch()).data.node.events.pageInfo; page.hasNextPage; ) {
  const more = await pages.fetchMore({ variables: { after: page.endCursor } });
  page = more.data.node.events.pageInfo;
}
said.pages = cached(PAGE).node.events.edges.map(({ node }) => node.id);
shown.unsubscribe();
said.followed = await new Promise((done, failed) => {
  const found = [];
  const following = client.subscribe({ query: FEED }).subscribe({
    next: ({ data, error }) => {
      if (error) failed(error);
      found.push(data.events);
      if (data.events.__typename !== "CaughtUp") return;
      following.unsubscribe();
      done(found);
    },
    error: failed,
  });
});
said.objects = Object.keys(client.cache.extract()).filter((key) => !key.startsWith("ROOT"));
said.keptAfterAll = cached(TWO);
console.log(JSON.stringify(said));
process.exit();
