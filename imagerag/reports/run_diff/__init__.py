"""Two runs beside each other: where they part, what they were asked differently, and what came of it."""
