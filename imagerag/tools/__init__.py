"""What the mind can do: generators, judges, embedders. Adapters behind `agent/ports/`."""
