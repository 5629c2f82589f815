"""Several backends as one: `FallbackGenerator`, `FallbackJudge` and `FallbackAnswerer`."""
