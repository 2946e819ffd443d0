"""Execution by generated code, in the place of graphql-core's, field by field."""
