"""How each query is answered: plain async functions over the store."""
