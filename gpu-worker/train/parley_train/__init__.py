"""Trains the small chat model that Parley bundles, from text that packages ship under permissive licences."""
