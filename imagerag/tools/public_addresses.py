"""Table of public internet addresses, which decides what may be downloaded.

`ipaddress.is_global` is not enough: it counts metadata services of clouds as public (168.63.129.16, 192.0.0.192), and
checks only some of the IPv6 addresses that embed an IPv4 address. The rows are IANA's special-purpose registries and
the addresses that clouds use inside public ranges.
"""

import ipaddress
from collections.abc import Iterable
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NOT_PUBLIC_V4: Final = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared between carriers (CGNAT); a metadata service of Alibaba Cloud",
    "127.0.0.0/8": "this machine",
    "168.63.129.16/32": "Azure's metadata and DNS",
    "169.254.0.0/16": "link-local; the metadata services of most clouds",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "protocol assignments; a metadata service of Oracle Cloud",
    "192.0.2.0/24": "documentation",
    "192.31.196.0/24": "AS112",
    "192.52.193.0/24": "AMT relays",
    "192.88.99.0/24": "6to4 relays",
    "192.168.0.0/16": "private",
    "192.175.48.0/24": "AS112",
    "198.18.0.0/15": "benchmarks",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved and broadcast",
}

NOT_PUBLIC_V6: Final = {
    "2001::/23": "protocol assignments: Teredo, ORCHID, benchmarks, relays",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "2620:4f:8000::/48": "AS112",
    "3fff::/20": "documentation",
}
"""Exceptions inside `2000::/3`, the only public IPv6 space. Loopback, private (fc00::/7, with metadata services of AWS
and Google), link-local, site-local, multicast and local NAT64 (64:ff9b:1::/48) are outside of it."""

_CARRY_V4: Final = {"::ffff:0:0/96": "IPv4-mapped", "64:ff9b::/96": "NAT64"}
"""IPv6 prefixes with an embedded IPv4 address in the last 32 bits."""

_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})
"""Third 32-bit group of an address that embeds an IPv4 address in the fourth, behind any prefix."""


def _networks(names: Iterable[str]) -> tuple[_Network, ...]:
    return tuple(ipaddress.ip_network(name) for name in names)


_REFUSED: Final = _networks([*NOT_PUBLIC_V4, *NOT_PUBLIC_V6])
_CARRIERS: Final = _networks(_CARRY_V4)
_INTERNET_V6: Final = ipaddress.IPv6Network("2000::/3")


def is_public(address: Address) -> bool:
    """Whether an address, and any IPv4 address embedded in it, is public."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        if any(address in network for network in _CARRIERS):
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _INTERNET_V6 or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
            return False
    return address.is_global and not any(address in network for network in _REFUSED)


def is_this_machine(host: str) -> bool:
    """Whether requests to a host stay on this machine; names below `localhost` may resolve elsewhere, and do not
    count."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
