"""Shared parts of all HTML pages: template environment, base template, macros, stylesheet."""
