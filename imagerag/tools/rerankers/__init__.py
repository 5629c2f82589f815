"""Rerankers: a second look at what a search found, by the judge or by the words of the captions. Off by default."""
