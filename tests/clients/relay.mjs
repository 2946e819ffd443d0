// What Relay makes of the API; `environment` is that of the docs, and `artifact` finds what was compiled.
import { createOperationDescriptor, fetchQuery, getRequest, getSingularSelector, requestSubscription } from "relay-runtime";

const said = { warnings: [] };
for (const level of ["warn", "error"]) console[level] = (...words) => said.warnings.push(words.join(" "));
const asked = (name, variables) => fetchQuery(environment, artifact(name), variables).toPromise();
const kept = (name, variables) => {
  const operation = createOperationDescriptor(getRequest(artifact(name)), variables);
  environment.retain(operation);
  return environment.lookup(operation.fragment).data;
};

said.answered = await asked("relayTwoQuery", {});
said.kept = kept("relayTwoQuery", {});
said.lists = await asked("relayListsQuery", {});
said.keptAfterLists = kept("relayTwoQuery", {});
said.keptLists = kept("relayListsQuery", {});
const { aggregate } = await asked("relayHistoryQuery", {});
kept("relayHistoryQuery", {});
const history = () => environment.lookup(getSingularSelector(artifact("History_events"), aggregate)).data.events;
while (history().pageInfo.hasNextPage)
  await asked("HistoryEventsQuery", { id: aggregate.id, count: 2, cursor: history().pageInfo.endCursor });
said.pages = history().edges.map((edge) => edge.node.id);
said.followed = await new Promise((done, failed) => {
  const found = [];
  const subscription = artifact("relayFeedSubscription");
  requestSubscription(environment, {
    subscription,
    variables: {},
    onNext: ({ events }) => {
      found.push(events);
      if (events.__typename === "CaughtUp") done(found);
    },
    onError: failed,
  });
});
said.keptAfterAll = kept("relayTwoQuery", {});
said.ids = environment.getStore().getSource().getRecordIDs().filter((id) => !id.startsWith("client:"));
console.log(JSON.stringify(said));
process.exit();
