"""Addresses of services without what is secret in them.

Whoever writes `openai:MODEL@http://bob:pw@host/v1?api_key=…` wants the password and the key sent to that host, and
nowhere else: not in a record, a checkpoint, a log or a message. `public` takes them out of the text of a spec; this
process remembers them beside the address, and `credentials_of` gives them to whoever sends a request there. They are
written nowhere.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Annotated, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from pydantic import AfterValidator

NEXT: Final = re.compile(r",(?=\s*[A-Za-z][\w-]*\s*(?:[:?,]|$))")
"""A comma that another spec follows; other commas belong to a path."""
BASE_URL: Final = re.compile(r"@\s*(?=https?://)", re.I)
"""Before the address of a spec."""
VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]*")
"""What the name of a variable that holds a key looks like: no key does."""
SECRET_NAME: Final = re.compile(r"key|token|secret|sig|pass|pwd|code|auth|cred|jwt|bearer|session", re.I)
"""Names of values in an address's query that are secret."""
SECRET_OPTIONS: Final = frozenset(
    {"api_key", "apikey", "key", "token", "access_token", "password", "secret", "auth", "authorization", "bearer"}
)
"""What somebody may take for an option of a spec, and write a key after."""

_KEY_LIKE: Final = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9_.~+/=-]{20,}")
_OPTION: Final = re.compile(rf"([?&](?:{'|'.join(sorted(SECRET_OPTIONS))})=)[^&@,\s]+", re.I)
_KEY_ENV: Final = re.compile(rf"([?&]key_env=)(?!{VARIABLE.pattern}(?:[&@,\s]|$))[^&@,\s]*")
_HIDDEN: Final = r"\1…"
_USERINFO: Final = re.compile(r"(\w+:/{1,2})[^\s/@?#]*@")


@dataclass(frozen=True, repr=False)
class Credentials:
    """Secrets of one address. Nothing of it shows in a repr.

    Attributes:
        user, password: as HTTP's basic authentication sends them; empty when there are none.
        query: (name, value) that belong to every request's address.
    """

    user: str = ""
    password: str = ""
    query: tuple[tuple[str, str], ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Secrets that no message may show."""
        return tuple(filter(None, (self.password or self.user, *(value for _, value in self.query))))


_KNOWN: Final[dict[str, Credentials]] = {}
_LOCK: Final = Lock()


def public(text: str) -> str:
    """The text of one spec or of several, without passwords and keys in it; the process remembers an address's."""
    if "://" not in text and "=" not in text:
        return text
    credentials: dict[str, Credentials] = {}
    clean = ",".join(_one(part, credentials) for part in NEXT.split(text))
    with _LOCK:
        _KNOWN.update(credentials)
    return clean


def public_address(address: str) -> str:
    """The same for an address that stands alone, for instance in a variable."""
    credentials: dict[str, Credentials] = {}
    clean = _separated(address, credentials)
    with _LOCK:
        _KNOWN.update(credentials)
    return clean


def credentials_of(address: str) -> Credentials | None:
    """Secrets of the address that a request goes to, where this process knows them."""
    with _LOCK:
        by_base = dict(_KNOWN)
    fitting = [base for base in by_base if _is_below(address, base)]
    return by_base[max(fitting, key=len)] if fitting else None


Spec = Annotated[str, AfterValidator(public)]
"""The text of a spec in a value that is kept: nothing secret is in it."""


def public_values(values: Mapping[str, str]) -> dict[str, str]:
    """A mapping of names to specs, without what is secret in them."""
    return {name: public(value) if isinstance(value, str) else value for name, value in values.items()}


def origin(address: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError:
        port = None
    return (
        parts.scheme.lower(),
        (parts.hostname or "").lower(),
        port or (443 if parts.scheme.lower() == "https" else 80),
    )


def _is_below(address: str, base: str) -> bool:
    path, above = urlsplit(address).path, urlsplit(base).path.rstrip("/")
    return origin(address) == origin(base) and (path == above or path.startswith(f"{above}/"))


def _one(part: str, credentials: dict[str, Credentials]) -> str:
    head, *urls = BASE_URL.split(part, maxsplit=1)
    head = _KEY_ENV.sub(_HIDDEN, _OPTION.sub(_HIDDEN, head))
    return _USERINFO.sub(r"\1", head) + "".join(
        f"@{_separated(_KEY_ENV.sub(_HIDDEN, url), credentials)}" for url in urls
    )


def _separated(address: str, credentials: dict[str, Credentials]) -> str:
    """The address alone; what was secret in it goes to `credentials`."""
    scheme, slashes, rest = address.strip().partition("://")
    if not slashes:
        return address
    user, rest = _userinfo(rest)
    bare, question_mark, query = rest.partition("#")[0].partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    secret = tuple(pair for pair in pairs if _is_secret(*pair))
    if secret:
        public = urlencode([pair for pair in pairs if pair not in secret])
        query, question_mark = public, "?" if public else ""
    clean = f"{scheme.lower()}://{bare}{question_mark}{query}"
    name, _, password = user.partition(":")
    if user or secret:
        base = f"{scheme.lower()}://{bare}".rstrip("/")
        credentials[base] = Credentials(unquote(name), unquote(password), secret)
    return clean


def _userinfo(rest: str) -> tuple[str, str]:
    """User and password of what follows `://`; a password may hold a slash or a question mark that was not quoted."""
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in place:
        user = place.rpartition("@")[0]
        return user, rest[len(user) + 1 :]
    port = place.rpartition(":")[2] if ":" in place and not place.endswith("]") else ""
    if port and not port.isdigit() and "@" in rest:
        user, _, place = rest.rpartition("@")
        return user, place
    return "", rest


def _is_secret(name: str, value: str) -> bool:
    return name != "key_env" and bool(SECRET_NAME.search(name) or _KEY_LIKE.fullmatch(value))
