"""Conversations, messages and generations as plain values and rules: no I/O, no framework."""
