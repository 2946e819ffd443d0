"""Reading events: plans, pages, scans, links."""
