"""What the worker's tests stand on: the rest of the platform, as small as a worker can see it."""
