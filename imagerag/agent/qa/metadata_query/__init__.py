"""Parsing and answering of questions about metadata: filters, order, counts."""
