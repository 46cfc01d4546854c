"""What keys, secrets and verdicts are, and what may be done with them. Standard library only,
but for `keyring` and `sealing`, which use `cryptography`."""
