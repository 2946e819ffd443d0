"""Queries that are asked by their hash, as some clients do first: none are kept here, and those clients ask again."""


def is_persisted(request: object) -> bool:
    """Whether the request has no query but the hash of one."""
    if not isinstance(request, dict) or request.get("query"):
        return False
    extensions = request.get("extensions")
    return isinstance(extensions, dict) and isinstance(extensions.get("persistedQuery"), dict)
