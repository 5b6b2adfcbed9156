"""Checkpoint folders and the architectures they hold."""
