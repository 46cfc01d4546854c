"""Keys and their secrets, as people read them."""

from __future__ import annotations

from collections.abc import Iterable

from keyauthority.cli.output import details, moment, pairs, table, word
from keyauthority.v1.key_pb2 import Key, KeyState, RevocationReason, SecretInfo


def key_table(keys: Iterable[Key]) -> str:
    """One line a key."""
    return table(
        ("ID", "NAME", "WORKSPACE", "STATE", "EXPIRES", "LAST USED", "CREATED", "BY", "SECRET"),
        (
            (
                key.id,
                key.name,
                key.workspace_id,
                _state(key),
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
        ("name", key.name),
        ("workspace", key.workspace_id),
        ("state", _state(key)),
        ("expires", _expiry(key)),
        ("last used", _last_use(key)),
        ("scopes", " ".join(key.scopes) or "full access"),
    ]
    if key.labels:
        fields.append(("labels", pairs(dict(key.labels))))
    fields += [("secret", _secret(secret)) for secret in key.secrets]
    fields += [("created", _creation(key)), ("changed", moment(key.update_time))]
    if key.HasField("revoke_time"):
        fields += [
            ("revoked", moment(key.revoke_time) + _by(key.revoker_id, key.revoker_name)),
            ("reason", _reason(key)),
        ]
    return details([*fields, ("etag", key.etag)])


def minted(secret: str) -> str:
    """The new secret, and what to do with it now."""
    return (
        f'  export OPENTOKEN_API_KEY="{secret}"\n\n'
        "The secret is shown this once and can't be retrieved again: keep it in a secret manager."
    )


def _state(key: Key) -> str:
    return word(KeyState.Name(key.state), "KEY_STATE_")


def _expiry(key: Key) -> str:
    return moment(key.expire_time) if key.HasField("expire_time") else "never"


def _last_use(used: Key | SecretInfo) -> str:
    return moment(used.last_used_time) if used.HasField("last_used_time") else "never"


def _secret(secret: SecretInfo) -> str:
    end = f", ends {moment(secret.end_time)}" if secret.HasField("end_time") else ""
    minted = moment(secret.create_time) + _by(secret.creator_id, secret.creator_name)
    return f"{secret.hint}, minted {minted}, last used {_last_use(secret)}{end}"


def _creation(key: Key) -> str:
    return moment(key.create_time) + _by(key.creator_id, key.creator_name)


def _by(who: str, name: str) -> str:
    if not who:
        return ""
    return f" by {name} ({who})" if name else f" by {who}"


def _reason(key: Key) -> str:
    reason = word(RevocationReason.Name(key.revocation_reason), "REVOCATION_REASON_")
    return f"{reason}: {key.revocation_note}" if key.revocation_note else reason
