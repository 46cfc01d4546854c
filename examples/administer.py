import os
from datetime import timedelta
from pathlib import Path

from keyauthority.client import connect_blocking, load_token
from keyauthority.client.admin import (
    BlockingAdminClient,
    KeySettings,
    RefusedError,
    RevocationReason,
    keys,
    workspaces,
)

ADDRESS = os.environ["KEYAUTHORITY_ADDRESS"]
TOKEN = load_token(Path(os.environ["KEYAUTHORITY_DATA_DIR"], "root.token"))

with connect_blocking(ADDRESS) as channel:
    client = BlockingAdminClient(channel, TOKEN)
    workspace = client.call(workspaces.create("example"))
    settings = KeySettings("billing worker", scopes=("models:read",))
    try:
        issued = client.call(keys.issue(workspace.id, settings, ttl=timedelta(days=90)))
    except RefusedError as error:
        raise SystemExit(f"{error.field}: {error.message}") from None
    print("issued", issued.key.id)  # issued.secret.reveal() returns the secret

    revoked = client.call(keys.revoke(issued.key.id, RevocationReason.UNUSED))
    verifiers = revoked.receipt.sessions_acknowledged
    print(f"revoked, confirmed by {verifiers} verifiers")
