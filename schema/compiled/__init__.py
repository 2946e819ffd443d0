"""Execution by generated code instead of field by field, fenced in with all use of graphql-core's internals."""
