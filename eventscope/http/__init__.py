"""Bytes in, bytes out: GraphQL, WebSocket, event stream, REST, health and GraphiQL."""
