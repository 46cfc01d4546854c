"""Escrow: verifiers spend credits out of slices, set apart for them before. Sans I/O, as `coherence`.

Amounts are whole nano-credits. The rules that each check keeps are those of the credits' promises:
nothing is spent that is not there, and no credit is set apart for nobody.
"""
