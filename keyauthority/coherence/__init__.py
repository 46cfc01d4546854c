"""Coherent revocation (DESIGN: leases, sessions and the fence) as pure state machines.

No clock, no socket, no await: time is an argument, in seconds of the asking machine's own clock, and
no two machines' times are ever compared. Messages are arguments and results. What runs these against
the world: `keyauthority.client` for verifiers, `keyauthority.replica` for the authority.
"""
