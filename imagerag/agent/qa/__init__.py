"""Question answering over a library: nodes, state, types, record, retrieval."""
