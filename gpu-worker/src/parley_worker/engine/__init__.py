"""The engine: a process that does nothing but model steps, and the client that talks to it."""
