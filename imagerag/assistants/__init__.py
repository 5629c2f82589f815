"""Tools for language models: the service behind LangChain's tools and MCP's, and the text that they return.

To add a tool, declare its arguments in `tool_inputs.py` and its result in `tool_outputs.py`, and do it in `service.py`.
"""
