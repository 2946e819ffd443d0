"""The API, its workers and the ingester, as processes."""
