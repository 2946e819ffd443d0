"""Execution by generated code instead of field by field; the only folder that uses graphql-core's internals."""
