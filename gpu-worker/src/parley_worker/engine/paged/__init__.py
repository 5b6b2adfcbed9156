"""Keys and values in blocks, and the attention over them in plain torch."""
