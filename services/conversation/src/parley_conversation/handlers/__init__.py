"""The use cases, by noun. Each takes the caller's user id and answers NotFound for what is not that user's."""
