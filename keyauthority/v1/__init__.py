"""Generated from protos/keyauthority/v1 by `make proto`; only `wire` is written by hand."""
