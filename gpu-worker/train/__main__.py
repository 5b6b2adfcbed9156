"""`python gpu-worker/train train` rebuilds the bundled model; `... evaluate` prints its answers."""

from __future__ import annotations

import sys

from parley_train.cli import main

if __name__ == "__main__":
    sys.exit(main())
