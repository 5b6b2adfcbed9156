"""`python -m parley_local` is `parley-local`."""

from __future__ import annotations

from parley_local.main import main

main()
