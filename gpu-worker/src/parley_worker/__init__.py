"""The worker of Parley: takes generations from the bus, runs a model, streams what it says."""
