"""The front door for assistants and editors that speak MCP: `imagerag mcp`."""
