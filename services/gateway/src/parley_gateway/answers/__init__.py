"""An answer as a reader gets it: live while it is written, from the chat log afterwards."""
