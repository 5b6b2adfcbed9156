"""What every Parley service is built with: settings, errors, lifecycle, logs, telemetry, ids, clock, gRPC, health."""
