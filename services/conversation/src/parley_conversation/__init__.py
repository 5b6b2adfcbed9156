"""The conversation service: the owner of conversations, messages and generations."""
