"""What keys, secrets and verdicts are, and the use cases: no I/O, standard library only."""
