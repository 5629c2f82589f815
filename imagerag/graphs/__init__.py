"""The LangGraph graphs, and how settings become a graph with its dependencies."""
