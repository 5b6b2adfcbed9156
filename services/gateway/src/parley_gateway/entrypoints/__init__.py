"""How the outside world gets in."""
