"""`imagerag library`: libraries and what is in them."""
