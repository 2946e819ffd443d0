"""What a client may request: GraphQL types, inputs, root types and error codes."""
