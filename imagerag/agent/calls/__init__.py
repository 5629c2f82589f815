"""One model call: journal, budget, pending calls, progress, idempotency."""
