"""Generated from protos/keyauthority/v1 by `make proto`, except `wire` and `key_settings`."""
