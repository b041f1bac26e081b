"""The metrics of a run, and their exports: dashboard, Prometheus, OpenTelemetry."""
