"""The gateway: GraphQL over HTTP, WebSocket and server-sent events. It holds no durable state."""
