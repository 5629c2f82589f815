"""HTTP servers of the front ends: who may connect, within which limits, and listening.

Its parts know nothing of what is served.
"""
