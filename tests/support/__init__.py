"""What the journeys and the resilience tests share: a real platform in a process of its own, and raw clients of it."""
