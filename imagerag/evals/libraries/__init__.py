"""Whether the threshold of a library is right, and how it is best searched."""
