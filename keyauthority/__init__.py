"""The key authority: issues, verifies and revokes API keys. Importing this imports nothing else."""
