"""The pages, a module each: its routes, and what it puts into its template."""
