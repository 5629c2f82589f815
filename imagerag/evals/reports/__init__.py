"""What an evaluation came to, for people: tables, plots, a gallery. All of it made from the results alone."""
