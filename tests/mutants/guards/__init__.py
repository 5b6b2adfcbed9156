"""The guards, by what they guard."""
