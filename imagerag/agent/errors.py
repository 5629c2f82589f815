"""Every error imagerag raises on purpose.

```
ImageRAGError
├── UsageError                 the caller asked for something that cannot be; the CLI exits with 2
│   ├── UntrustedError         data names code, a file or an address that the user has to name himself
│   ├── FetchError             an address that is not fetched, or holds no image (in tools/url_fetcher.py)
│   ├── FilterError            a filter that cannot be read, or asks for what the library does not hold
│   ├── UnknownLibraryError
│   ├── UnknownRunError
│   ├── UnknownThreadError     a follow-up question in a conversation that there is not
│   ├── RunStateError          the run exists but cannot take this step (not waiting, already ended)
│   ├── ImageTooLargeError     an image of more bytes or pixels than are read
│   ├── SpecError              a backend spec that names nothing we know
│   ├── WorkflowRefusedError   ComfyUI refuses a workflow (in tools/generators/comfyui/errors.py)
│   └── MissingExtraError      an optional part is not installed
├── LibraryError
│   ├── EmbeddingMismatchError
│   ├── LibraryDamagedError
│   └── LibraryVersionError     a newer imagerag made it
├── StorageError            the machine keeps a file from being read or written: full disk, read-only, not allowed
├── DamagedFileError        a file of the home is not what it was: emptied, cut short, overwritten
├── BlobError                  an image is missing, or its bytes no longer match its hash
├── BackendError               a model failed to answer; `retryable` says whether asking again can help
│   ├── BackendTimeoutError
│   ├── RateLimitedError
│   ├── WaitTooLongError    a service asks to be left alone for longer than the run waits
│   ├── QuotaError
│   ├── AuthError
│   ├── NoImagesError       a model that is to look at images takes none
│   └── UnreadableImageError an image came and was paid for, but cannot be read; final, and what came is kept
├── RefusalError               content policy: final, never retried
├── JudgeReplyError            the judge answered, but not with what was asked for; `raw` keeps its words
├── BudgetExceededError
└── ReplayMissError            a strict replay met a call that was never recorded
```

A message says what was wrong, with what, and what to type next.
"""

from collections.abc import Mapping
from math import isfinite
from types import MappingProxyType
from typing import Self


class ImageRAGError(Exception):
    """The root of everything imagerag raises on purpose.

    Attributes:
        cost_usd: cost in US dollars of the response that the error is about; None if not known, or without a response.
        usage: its tokens by kind, as the service counted them.
    """

    cost_usd: float | None = None
    usage: Mapping[str, int] = MappingProxyType({})

    def with_cost(self, cost_usd: float | None, usage: Mapping[str, int]) -> Self:
        """This error, with the cost of its response."""
        self.cost_usd, self.usage = cost_usd, usage
        return self


class UsageError(ImageRAGError, ValueError):
    """The caller asked for something that cannot be done as asked."""


class UntrustedError(UsageError):
    """Data names code, a file or an address that the user has to name himself. The message says what to type."""


class FilterError(UsageError):
    """A filter cannot be read, or asks for a key or a value that the library cannot hold."""


class UnknownLibraryError(UsageError):
    """No library of that name exists."""


class UnknownRunError(UsageError):
    """No run of that id exists."""


class UnknownThreadError(UsageError):
    """No question was asked in a thread of that id."""


class RunStateError(UsageError):
    """The run exists, but cannot take this step now."""


class ImageTooLargeError(UsageError):
    """An image of more bytes or pixels than are read."""


class SpecError(UsageError):
    """A backend spec names a provider or model that is not known."""


class MissingExtraError(UsageError):
    """An optional part is not installed. The message names the extra."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional part: pip install 'imagerag[{extra}]'")
        self.extra = extra


class LibraryError(ImageRAGError):
    """A reference library cannot be used as it is."""


class EmbeddingMismatchError(LibraryError):
    """The library was built with another encoder than the one offered."""


class LibraryDamagedError(LibraryError):
    """The library's files are damaged or half missing."""


class LibraryVersionError(LibraryError):
    """A newer version of imagerag made the library; nothing is wrong with it."""


class StorageError(ImageRAGError):
    """The machine keeps a file from being read or written; the file itself is in order. The message says why.

    Attributes:
        path: which file or folder; empty when that is not known.
        errno: the operating system's number for the cause, as in `errno`; 0 when there is none.
    """

    def __init__(self, message: str, *, path: str = "", errno: int = 0) -> None:
        super().__init__(message)
        self.path = path
        self.errno = errno


class DamagedFileError(ImageRAGError):
    """A file of the home cannot be read as what it should be; the message names it.

    Attributes:
        path: which one.
    """

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class BlobError(ImageRAGError):
    """An image is missing from the blob store, or its bytes no longer match its SHA-256."""


class BackendError(ImageRAGError):
    """A model failed to answer.

    Attributes:
        retryable: whether asking the same again can help.
        retry_after_s: how long the service asked us to wait, in seconds, when it said so.
        unsettled: the request was sent and nobody knows what became of it: the service may charge for it.
        sent: whether a request left this machine; one that did not (no key, nobody listening) is no model call.
    """

    retryable = True
    unsettled = False
    sent = True

    def __init__(self, message: str, *, retryable: bool | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        if retryable is not None:
            self.retryable = retryable
        self.retry_after_s = _seconds(retry_after_s)


def _seconds(wait: object) -> float | None:
    """A wait in seconds; None for what is none: a run that is to wait for NaN seconds never goes on."""
    if isinstance(wait, bool) or not isinstance(wait, int | float) or not isfinite(wait):
        return None
    return max(0.0, float(wait))


class BackendTimeoutError(BackendError):
    """No answer came in time."""

    unsettled = True


class RateLimitedError(BackendError):
    """Too many requests; later may work."""


class WaitTooLongError(RateLimitedError):
    """A service asks to be left alone for longer than the run waits: asking again within it does not help."""

    retryable = False


class QuotaError(BackendError):
    """The account has nothing left to spend. Asking again does not help."""

    retryable = False


class AuthError(BackendError):
    """The key is missing, wrong, or not allowed to do this."""

    retryable = False


class NoImagesError(BackendError):
    """A model that is to look at images takes none. The message says what to name instead."""

    retryable = False


class UnreadableImageError(BackendError):
    """An image came, and was paid for, but it cannot be read. Final: asking again would be to pay again.

    Attributes:
        data: what came.
    """

    retryable = False
    __slots__ = ("data",)  # not in `__dict__`, which logs and reports of errors show

    def __init__(self, message: str, *, data: bytes = b"") -> None:
        super().__init__(message)
        self.data = data


class RefusalError(ImageRAGError):
    """A model declined for reasons of content policy. Final: never retried."""


class JudgeReplyError(ImageRAGError):
    """The judge answered, but not with what was asked for.

    Attributes:
        raw: the judge's own words.
    """

    def __init__(self, message: str, *, raw: str = "") -> None:
        super().__init__(message)
        self.raw = raw


class BudgetExceededError(ImageRAGError):
    """The next call would go over what this run may spend."""


class ReplayMissError(ImageRAGError):
    """A strict replay met a call that was never recorded. The message says what differs from the nearest one."""


def first_line(error: Exception) -> str:
    """The first line of what libraries say over many."""
    return str(error).strip().partition("\n")[0]
