"""The MCP server over stdio and HTTP, for assistants and editors: `imagerag mcp`.

To add a tool, first add it to `imagerag/assistants`, then name it in `server.py` and answer it in `handlers.py`.
"""
