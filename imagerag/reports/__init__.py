"""A run as a page, a contact sheet, or a difference from another run; and its steps in words."""
