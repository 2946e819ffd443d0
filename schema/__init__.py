"""What a client may ask: GraphQL types, inputs, root types and error codes."""
