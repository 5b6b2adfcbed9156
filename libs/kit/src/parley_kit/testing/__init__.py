"""What tests of several members need of a running service."""
