"""The console: people sign in, pick a workspace, create, rotate and revoke its keys."""
