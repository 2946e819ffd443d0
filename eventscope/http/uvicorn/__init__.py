"""uvicorn's ends of connections, bounded in number and in the time that they may wait."""
