"""Every Parley service in one process, and the `parley` command."""
