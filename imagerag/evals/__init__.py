"""How good it is: suites, metrics, statistics, benchmarks."""
