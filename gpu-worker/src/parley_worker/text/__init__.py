"""The text side: messages to tokens, tokens to text."""
