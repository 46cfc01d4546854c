"""The key authority as the console sees it: calls made for a person, and how they can fail."""

from console.authority.client import CHANGING, READING, Acting, Authority
from console.authority.failures import (
    AuthorityError,
    MissingError,
    RefusedError,
    SpreadingError,
    UnavailableError,
)

__all__ = [
    "CHANGING",
    "READING",
    "Acting",
    "Authority",
    "AuthorityError",
    "MissingError",
    "RefusedError",
    "SpreadingError",
    "UnavailableError",
]
