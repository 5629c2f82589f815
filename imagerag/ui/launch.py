"""Start the page from plain options. The command line calls this and nothing else here."""
