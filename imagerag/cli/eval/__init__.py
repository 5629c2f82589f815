"""`imagerag eval`: evaluations."""
