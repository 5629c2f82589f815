"""Evaluation: suites, arms, metrics, statistics, judge and library checks, reports, benchmarks."""
