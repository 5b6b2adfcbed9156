"""The gateway's surroundings for tests: small services behind real gRPC, and a client that speaks raw frames."""
