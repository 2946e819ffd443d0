// What Relay does with the API; `environment` comes from the example in the docs, and `artifact` loads what was compiled.
import { createOperationDescriptor, fetchQuery, getRequest, getSingularSelector, requestSubscription } from "relay-runtime";

const report = { warnings: [] };
for (const level of ["warn", "error"]) console[level] = (...words) => report.warnings.push(words.join(" "));
const load = (name, variables) => fetchQuery(environment, artifact(name), variables).toPromise();
const cached = (name, variables) => {
  const operation = createOperationDescriptor(getRequest(artifact(name)), variables);
  environment.retain(operation);
  return environment.lookup(operation.fragment).data;
};

report.answer = await load("relayTwoQuery", {});
report.cached = cached("relayTwoQuery", {});
report.lists = await load("relayListsQuery", {});
report.cachedAfterLists = cached("relayTwoQuery", {});
report.cachedLists = cached("relayListsQuery", {});
const { aggregate } = await load("relayHistoryQuery", {});
cached("relayHistoryQuery", {});
const history = () => environment.lookup(getSingularSelector(artifact("History_events"), aggregate)).data.events;
while (history().pageInfo.hasNextPage)
  await load("HistoryEventsQuery", { id: aggregate.id, count: 2, cursor: history().pageInfo.endCursor });
report.pages = history().edges.map((edge) => edge.node.id);
report.deliveries = await new Promise((done, failed) => {
  const items = [];
  const subscription = artifact("relayFeedSubscription");
  requestSubscription(environment, {
    subscription,
    variables: {},
    onNext: ({ events }) => {
      items.push(events);
      if (events.__typename === "CaughtUp") done(items);
    },
    onError: failed,
  });
});
report.cachedAfterAll = cached("relayTwoQuery", {});
report.ids = environment.getStore().getSource().getRecordIDs().filter((id) => !id.startsWith("client:"));
console.log(JSON.stringify(report));
process.exit();
