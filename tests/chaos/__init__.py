"""A Jepsen-like harness: clients and faults on a real platform, a recorded history, and a checker that can fail."""
