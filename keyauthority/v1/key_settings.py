"""By hand: what a key is set to, as the messages of both ends write it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from google.protobuf.message import Message

from keyauthority.domain.keys import KeySettings
from keyauthority.v1.key_pb2 import Key
from keyauthority.v1.key_service_pb2 import ImportedKey, IssueKeyRequest

KeyMessage = Key | IssueKeyRequest | ImportedKey
"""What has a key's settings among its fields. A new key is never disabled."""


def settings_of(
    message: KeyMessage, time_of: Callable[[Message, str], datetime | None]
) -> KeySettings:
    """The settings in *message*, whose times *time_of* reads by the names of their fields."""
    return KeySettings(
        name=message.name,
        disabled=isinstance(message, Key) and message.disabled,
        expire_time=time_of(message, "expire_time"),
        scopes=tuple(message.scopes),
        labels=dict(message.labels),
    )


def write(settings: KeySettings, message: KeyMessage) -> None:
    """Puts the settings into *message*, which has none yet."""
    message.name = settings.name
    if isinstance(message, Key):
        message.disabled = settings.disabled
    if settings.expire_time is not None:
        message.expire_time.FromDatetime(settings.expire_time)
    message.scopes.extend(settings.scopes)
    message.labels.update(settings.labels)
