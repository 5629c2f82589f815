"""The built-in benchmark of the sketch world."""
