"""`python -m gateway` is `keyauthority-gateway`."""

from gateway.cli import main

main()
