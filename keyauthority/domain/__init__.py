"""What keys, secrets and verdicts are, and what may be done with them: no I/O, no library."""
