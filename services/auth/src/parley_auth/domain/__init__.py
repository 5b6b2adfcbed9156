"""What an account and a session are, and which rules hold for them. Pure: no I/O, no framework."""
