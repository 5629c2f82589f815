"""The Python client: `ImageRAG`, its runs, libraries and questions."""
