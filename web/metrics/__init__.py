"""What the daemon counts and measures, for Prometheus. See docs/monitoring.md."""
