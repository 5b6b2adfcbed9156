"""Which requests share the next step, and when they are finished. No torch."""
