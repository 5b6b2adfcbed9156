"""Mutation tests of the guards behind the promises: each guard is taken away in turn, and a test must fail."""
