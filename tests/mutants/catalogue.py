"""All the guards, each with what takes it away and the test that must fail then."""

from __future__ import annotations

from mutants.guards import generations, harness, readers, streams, workers

MUTANTS = (*streams.MUTANTS, *generations.MUTANTS, *workers.MUTANTS, *readers.MUTANTS, *harness.MUTANTS)
