"""How each question is answered: plain async functions over the store."""
