"""The real servers and every service of Parley on one machine, without Docker."""
