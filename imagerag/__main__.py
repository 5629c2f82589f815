"""`python -m imagerag`."""

from imagerag.cli import main

main()
