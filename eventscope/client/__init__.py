"""The client for services. Private: its public names are those of `eventscope`."""
