"""Keys and their secrets, as text for people."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from keyauthority.cli.output import details, moment, named, pairs, table, word
from keyauthority.client.admin import Key, Revocation, SecretInfo
from keyauthority.domain.keys import Who
from keyauthority.domain.secrets import Secret


def placed(key: Key) -> str:
    """Returns the key for a sentence: its name may be that of another workspace's key."""
    return f"{named(key.id, key.settings.name)} in {key.workspace_id}"


def key_table(keys: Iterable[Key]) -> str:
    """Returns a table with one line for each key."""
    return table(
        ("ID", "NAME", "WORKSPACE", "STATE", "EXPIRES", "LAST USED", "CREATED", "BY", "SECRET"),
        (
            (
                key.id,
                key.settings.name,
                key.workspace_id,
                word(key.state),
                _or_never(key.settings.expire_time),
                _or_never(key.last_used_time),
                moment(key.create_time),
                key.creator.name or key.creator.id or "unknown",
                key.secrets[0].hint if key.secrets else "",
            )
            for key in keys
        ),
    )


def key_details(key: Key) -> str:
    """Returns all attributes of one key."""
    fields = [
        ("key", key.id),
        ("name", key.settings.name),
        ("workspace", key.workspace_id),
        ("state", word(key.state)),
        ("expires", _or_never(key.settings.expire_time)),
        ("last used", _or_never(key.last_used_time)),
        ("scopes", " ".join(key.settings.scopes) or "full access"),
    ]
    if key.settings.labels:
        fields.append(("labels", pairs(key.settings.labels)))
    fields += [("secret", _secret(secret)) for secret in key.secrets]
    fields += [
        ("created", moment(key.create_time) + _by(key.creator)),
        ("changed", moment(key.update_time)),
    ]
    if key.revocation is not None:
        fields += [
            ("revoked", moment(key.revocation.time) + _by(key.revocation.by)),
            ("reason", _reason(key.revocation)),
        ]
    return details([*fields, ("etag", key.etag)])


def minted(secret: Secret) -> str:
    """Returns a new secret, with the command that sets it and a warning."""
    return (
        f'  export OPENTOKEN_API_KEY="{secret.reveal()}"\n\n'
        "The secret is shown this once and can't be retrieved again: keep it in a secret manager."
    )


def _or_never(time: datetime | None) -> str:
    return "never" if time is None else moment(time)


def _secret(secret: SecretInfo) -> str:
    end = "" if secret.end_time is None else f", ends {moment(secret.end_time)}"
    minted = moment(secret.create_time) + _by(secret.creator)
    return f"{secret.hint}, minted {minted}, last used {_or_never(secret.last_used_time)}{end}"


def _by(who: Who) -> str:
    if not who.id:
        return ""
    return f" by {who.name} ({who.id})" if who.name else f" by {who.id}"


def _reason(revocation: Revocation) -> str:
    reason = word(revocation.reason)
    return f"{reason}: {revocation.note}" if revocation.note else reason
