"""The log on stderr, as lines of JSON: `IMAGERAG_LOG=info` (or debug) before any command."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

from imagerag.agent.errors import UsageError

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
_USUAL: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime"})


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and whatever the line carries beside."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _USUAL},
        }
        if record.exc_info and record.exc_info[0]:
            fields["exception"] = record.exc_info[0].__name__
        return json.dumps(fields, ensure_ascii=True, default=str)


class NonRaisingHandler(logging.StreamHandler[TextIO]):
    """Writes to stderr, and never raises: a line that cannot be written is lost, and not the server with it.

    Other handlers open files to show a traceback well. Where no more files can be opened they raise, in the middle of
    whatever wanted to say just that.
    """

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a line, or leave it. What imagerag itself says has a handler of its own."""
        if record.name.partition(".")[0] == "imagerag" and logging.getLogger("imagerag").handlers:
            return False
        try:
            return super().handle(record)
        except Exception:
            return False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, the standard library's name
        """Leave a line that cannot be written."""


def install_non_raising_handler() -> None:
    """Let everything that is logged in this process go through a handler that never raises.

    Libraries put handlers of their own on the root logger only where it has none.
    """
    root = logging.getLogger()
    if not any(isinstance(handler, NonRaisingHandler) for handler in root.handlers):
        root.addHandler(NonRaisingHandler())


def log_to_stderr(level: str | None) -> None:
    """Write imagerag's log to stderr from this level on; without a level, warnings alone, for people.

    Raises:
        UsageError: no such level.
    """
    log = logging.getLogger("imagerag")
    for earlier in [one for one in log.handlers if one is logging.lastResort or isinstance(one.formatter, JsonLines)]:
        log.removeHandler(earlier)
    if not level:
        log.setLevel(logging.NOTSET)
        if logging.lastResort:
            log.addHandler(logging.lastResort)
        return
    if level.lower() not in LEVELS:
        raise UsageError(f"IMAGERAG_LOG={level[:40]}: the levels are {', '.join(LEVELS)}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    log.addHandler(handler)
    log.setLevel(LEVELS[level.lower()])
