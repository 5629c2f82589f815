"""Contact sheets: one image that tells a whole run, an answer, or a choice. Pure functions of the records."""
