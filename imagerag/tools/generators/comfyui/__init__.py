"""Generator on a ComfyUI server, with the user's own workflow."""
