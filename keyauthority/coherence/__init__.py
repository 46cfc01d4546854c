"""Coherent revocation (docs/architecture.md) as pure state machines: leases, sessions, fence and cache.

No clock, no socket, no await: time is an argument, in seconds of the caller's own clock, and no two
machines' times are ever compared. `keyauthority.client` runs them for verifiers, and
`keyauthority.replica` for the authority.
"""
