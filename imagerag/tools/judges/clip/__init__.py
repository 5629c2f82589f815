"""Key-free judges on CLIP similarity."""
