"""The ways in: translate, call a handler, translate back."""
