"""OpenTelemetry spans and log events."""
