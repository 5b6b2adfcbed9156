"""Who holds which block of the KV cache, and what is kept for others. No torch."""
