"""Translate in, call a handler, translate out."""
