"""Results for people: tables, plots, a gallery, made from the stored results alone."""
