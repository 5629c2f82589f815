"""Environment variables with the access tokens of servers."""

from typing import Final

MCP_TOKEN: Final = "IMAGERAG_MCP_TOKEN"
UI_TOKEN: Final = "IMAGERAG_UI_TOKEN"
