"""Written by hand: a key's settings in messages, for client and server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from google.protobuf.message import Message

from keyauthority.domain.keys import KeySettings
from keyauthority.v1.key_pb2 import Key
from keyauthority.v1.key_service_pb2 import ImportedKey, IssueKeyRequest

KeyMessage = Key | IssueKeyRequest | ImportedKey
"""A message with a key's settings. Only a `Key` can be paused: a new key never is."""


def settings_of(
    message: KeyMessage, time_of: Callable[[Message, str], datetime | None]
) -> KeySettings:
    """Returns the settings in *message*; *time_of* decodes a field by its name."""
    return KeySettings(
        name=message.name,
        disabled=isinstance(message, Key) and message.disabled,
        expire_time=time_of(message, "expire_time"),
        scopes=tuple(message.scopes),
        labels=dict(message.labels),
    )


def write(settings: KeySettings, message: KeyMessage) -> None:
    """Sets the settings in *message*, which has none yet."""
    message.name = settings.name
    if isinstance(message, Key):
        message.disabled = settings.disabled
    if settings.expire_time is not None:
        message.expire_time.FromDatetime(settings.expire_time)
    message.scopes.extend(settings.scopes)
    message.labels.update(settings.labels)
