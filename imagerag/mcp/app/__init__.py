"""The app of MCP's extension for user interfaces (`io.modelcontextprotocol/ui`): results and the picker in the chat.

To show something new, add it to `run_view.py`, and to the scripts in `templates`.
"""
