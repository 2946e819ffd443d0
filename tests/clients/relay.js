// The input of relay-compiler for relay.mjs; nothing here is executed.
import { graphql } from "relay-runtime";

graphql`
  query relayTwoQuery {
    user: aggregate(type: "user", id: "42") { id type aggregateId lastEventType }
    order: aggregate(type: "order", id: "42") { id type aggregateId lastEventType }
    event(id: "42") { id messageId type aggregate { id type } }
  }
`;
graphql`
  query relayListsQuery {
    aggregates { nodes { id type aggregateId } }
    eventTypes { id type }
    rejectedEvents { nodes { id code } }
    log { id head }
  }
`;
graphql`
  query relayHistoryQuery {
    aggregate(type: "user", id: "42") { id ...History_events @arguments(count: 2) }
  }
`;
graphql`
  subscription relayFeedSubscription {
    events(from: BEGINNING) {
      __typename
      ... on Event { id type aggregate { id version } }
      ... on CaughtUp { cursor }
    }
  }
`;
graphql`
  mutation relayPublishMutation($input: PublishEventInput!) {
    publishEvent(input: $input) { messageId position }
  }
`;
