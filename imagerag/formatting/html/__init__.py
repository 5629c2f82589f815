"""What all HTML pages share: the template environment, the base template, macros and the stylesheet."""
