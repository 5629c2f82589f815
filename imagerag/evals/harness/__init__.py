"""Run arms on cases, store and summarise results."""
