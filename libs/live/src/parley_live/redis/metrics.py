"""What the hot state counts. Labels are bounded: never an id, never an address."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

COMMAND_SECONDS = Histogram(
    "parley_live_command_seconds",
    "From a command to its reply, its place in a pipeline included.",
    ["command"],
    buckets=(0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 2),
)
UNAVAILABLE = Counter("parley_live_unavailable_total", "Commands that Redis did not answer.", ["command"])
APPENDED = Counter("parley_live_appended_entries_total", "Entries written to token streams.")
REPEATED = Counter("parley_live_repeated_entries_total", "Entries of a repeated write that were there already.")
FENCED = Counter("parley_live_fenced_total", "Writes refused by the fence.", ["command"])
PUSHED = Counter("parley_live_pushed_entries_total", "Entries pushed to this process for its readers.")
WAKEUPS = Counter("parley_live_reader_wakeups_total", "Waiting readers that were woken.")
FEEDS_LOST = Counter("parley_live_feed_losses_total", "Losses of the connection that pushes entries and cancels.")
