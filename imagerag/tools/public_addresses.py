"""Which addresses are out on the internet: the table that decides what may be fetched.

`ipaddress.is_global` is not enough: it calls metadata services of clouds public (168.63.129.16, 192.0.0.192), and looks
into few of the IPv6 addresses that carry an IPv4 address. The rows are IANA's special-purpose registries and what
clouds put into public ranges.
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
"""Inside `2000::/3`, the only IPv6 space that is out on the internet. Loopback, private (fc00::/7, metadata services of
AWS and Google in it), link-local, site-local, multicast and local NAT64 (64:ff9b:1::/48) are outside."""

_CARRY_V4: Final = {"::ffff:0:0/96": "IPv4-mapped", "64:ff9b::/96": "NAT64"}
"""IPv6 addresses that are the IPv4 address in their last 32 bits."""

_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})
"""Third quarter of an address that carries an IPv4 address in its fourth, behind any prefix."""


def _networks(names: Iterable[str]) -> tuple[_Network, ...]:
    return tuple(ipaddress.ip_network(name) for name in names)


_REFUSED: Final = _networks([*NOT_PUBLIC_V4, *NOT_PUBLIC_V6])
_CARRIERS: Final = _networks(_CARRY_V4)
_INTERNET_V6: Final = ipaddress.IPv6Network("2000::/3")


def is_public(address: Address) -> bool:
    """Whether an address is out on the internet, and does not only carry one that is not."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        if any(address in network for network in _CARRIERS):
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _INTERNET_V6 or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
            return False
    return address.is_global and not any(address in network for network in _REFUSED)
