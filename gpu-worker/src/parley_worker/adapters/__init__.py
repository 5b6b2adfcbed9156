"""Where the worker meets other services."""
