"""Where requests come in: which names, proxies and pages are let through, and how answers are compressed."""
