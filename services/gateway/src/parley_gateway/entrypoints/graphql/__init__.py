"""GraphQL: the schema, and the engine that runs documents against it for every transport."""
