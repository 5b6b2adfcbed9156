"""The ports, on what is really there."""
