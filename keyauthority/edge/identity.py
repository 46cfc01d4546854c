"""The header fields that say whose a request is, and the names that some servers take for theirs."""

from __future__ import annotations

import re
from typing import Final

IDENTITY_PREFIX: Final = "x-opentoken-"
"""Only edges write header fields with this prefix; they drop copies from elsewhere."""

WORKSPACE_ID: Final = IDENTITY_PREFIX + "workspace-id"
KEY_ID: Final = IDENTITY_PREFIX + "key-id"
SCOPES: Final = IDENTITY_PREFIX + "scopes"
IDENTITY: Final = frozenset({WORKSPACE_ID, KEY_ID, SCOPES})

_odd = re.compile("[^a-z0-9]")


def canonical(name: str) -> str:
    """Returns *name* as servers read it that turn header names into variables.

    For them, all characters but letters and digits are the same.
    """
    return _odd.sub("-", name.lower())


def is_lookalike(name: str) -> bool:
    """Returns whether some servers read *name* as one of ours, and proxies as another.

    A proxy replaces its client's copies of the identity headers by their exact names, and leaves
    names that read alike (`X_OpenToken_Key_Id`, `X.OpenToken.Key.Id`).
    """
    return canonical(name).startswith(IDENTITY_PREFIX) and name.lower() not in IDENTITY
