"""One model call: cache, budget, pending calls, progress, idempotency."""
