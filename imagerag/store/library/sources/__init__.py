"""Images that are no files of their own: members of archives, and rows of tables with images in them."""
