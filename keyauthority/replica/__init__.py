"""One process of the authority in the revocation protocol: it grants leases, holds one, and fences."""
