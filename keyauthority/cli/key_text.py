"""Keys and their secrets, as people read them."""

from __future__ import annotations

from collections.abc import Iterable

from keyauthority.cli.output import details, moment, pairs, table, word
from keyauthority.client.admin import Key, Revocation, SecretInfo
from keyauthority.domain.secrets import Secret


def key_table(keys: Iterable[Key]) -> str:
    """One line a key."""
    return table(
        ("ID", "NAME", "WORKSPACE", "STATE", "EXPIRES", "LAST USED", "CREATED", "BY", "SECRET"),
        (
            (
                key.id,
                key.settings.name,
                key.workspace_id,
                word(key.state),
                _expiry(key),
                _last_use(key),
                moment(key.create_time),
                key.creator_name or key.creator_id or "unknown",
                key.secrets[0].hint if key.secrets else "",
            )
            for key in keys
        ),
    )


def key_details(key: Key) -> str:
    """All there is to say about one key."""
    fields = [
        ("key", key.id),
        ("name", key.settings.name),
        ("workspace", key.workspace_id),
        ("state", word(key.state)),
        ("expires", _expiry(key)),
        ("last used", _last_use(key)),
        ("scopes", " ".join(key.settings.scopes) or "full access"),
    ]
    if key.settings.labels:
        fields.append(("labels", pairs(key.settings.labels)))
    fields += [("secret", _secret(secret)) for secret in key.secrets]
    fields += [("created", _creation(key)), ("changed", moment(key.update_time))]
    if key.revocation is not None:
        by = _by(key.revocation.by.id, key.revocation.by.name)
        fields += [
            ("revoked", moment(key.revocation.time) + by),
            ("reason", _reason(key.revocation)),
        ]
    return details([*fields, ("etag", key.etag)])


def minted(secret: Secret) -> str:
    """The new secret, and what to do with it now."""
    return (
        f'  export OPENTOKEN_API_KEY="{secret.reveal()}"\n\n'
        "The secret is shown this once and can't be retrieved again: keep it in a secret manager."
    )


def _expiry(key: Key) -> str:
    end = key.settings.expire_time
    return "never" if end is None else moment(end)


def _last_use(used: Key | SecretInfo) -> str:
    return "never" if used.last_used_time is None else moment(used.last_used_time)


def _secret(secret: SecretInfo) -> str:
    end = "" if secret.end_time is None else f", ends {moment(secret.end_time)}"
    minted = moment(secret.create_time) + _by(secret.creator.id, secret.creator.name)
    return f"{secret.hint}, minted {minted}, last used {_last_use(secret)}{end}"


def _creation(key: Key) -> str:
    return moment(key.create_time) + _by(key.creator_id, key.creator_name)


def _by(who: str, name: str) -> str:
    if not who:
        return ""
    return f" by {name} ({who})" if name else f" by {who}"


def _reason(revocation: Revocation) -> str:
    reason = word(revocation.reason)
    return f"{reason}: {revocation.note}" if revocation.note else reason
