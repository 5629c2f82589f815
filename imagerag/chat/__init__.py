"""A graph of messages around the runs, for front ends of LangGraph servers: agent-chat-ui, Agent Inbox, Studio's chat.

Start reading at `graph.py`; `server.py` is what `langgraph.json` names.
"""
