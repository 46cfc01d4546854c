"""A complete installation on one machine, to try things with: what `make run` starts."""
