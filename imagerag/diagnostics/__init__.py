"""`imagerag doctor`: what is configured, what responds, what is damaged."""
