"""Choosing references: captions, candidate selection, reranking, escalation, human selection."""
