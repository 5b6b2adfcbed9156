"""The stores of the service: SQLite for embedded mode."""
