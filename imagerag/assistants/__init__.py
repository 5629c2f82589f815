"""The front door for chat assistants: the same five tools for LangChain and for MCP, and what they answer."""
