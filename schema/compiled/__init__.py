"""Execution by generated code instead of field by field; only here are internals of graphql-core and Strawberry used."""
