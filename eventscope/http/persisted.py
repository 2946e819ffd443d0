"""Recognises queries sent as their hash alone: none are stored here, and clients then send the query itself."""


def is_persisted(request: object) -> bool:
    """Whether the request has the hash of a query instead of a query."""
    if not isinstance(request, dict) or request.get("query"):
        return False
    extensions = request.get("extensions")
    return isinstance(extensions, dict) and isinstance(extensions.get("persistedQuery"), dict)
