"""Generated from protos/keyauthority/v1 by `make proto`; never edited by hand."""
