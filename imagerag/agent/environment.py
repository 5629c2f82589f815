"""Environment variables. One that is blank counts as unset, as an empty line of a compose file or of CI leaves it."""

import os


def environment_value(name: str) -> str | None:
    """The value of an environment variable, without blanks around it; None where it is unset or blank."""
    return os.environ.get(name, "").strip() or None
