"""`python -m parley_standalone` is `parley`."""

from __future__ import annotations

from parley_standalone.main import main

main()
