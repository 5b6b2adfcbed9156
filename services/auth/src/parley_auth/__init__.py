"""Users, credentials and tokens: the only service that sees a password or owns a session."""
