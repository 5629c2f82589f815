"""The workflows, and how settings become a ready graph."""
