"""Several backends as one: `FallbackGenerator`, `FallbackJudge`, `FallbackAnswerer` and `FallbackDescriber`."""
