"""Fixtures for tests on the real servers."""
