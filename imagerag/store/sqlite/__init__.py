"""SQLite: checkpointer, LangGraph store, connection pool, write batching, salvage."""
