"""Parsing and answering questions about metadata: filters, order, counts."""
