"""What can be wrong with a checkpoint folder."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A folder that cannot be served. The message is one line that names the file or the key."""
