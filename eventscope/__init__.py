"""Look into an event-sourced system: one GraphQL API over its log of events, past and live."""
