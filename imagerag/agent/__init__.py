"""The mind: types, state, nodes, routing, prompts, schedules, ports and errors. Imports nothing else of ours."""
