"""How far the measured costs carry: a simulation in virtual time, and `docs/scaling.md`."""
