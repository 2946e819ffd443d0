"""uvicorn's server, its sockets, and its ends of connections, which are bounded in number and in time."""
