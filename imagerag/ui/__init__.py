"""The web page of `imagerag ui`: draw, look, choose, compare and keep one's library, in a browser.

To add a page, write a module in `imagerag/ui/pages` with its routes, and a template beside the others.
"""
