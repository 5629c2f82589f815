"""How facts are shown: one label per value, one format per kind of number. Imports nothing of imagerag."""
