"""`python -m gateway`: the command `keyauthority-gateway`."""

from keyauthority.programs import gateway

if __name__ == "__main__":
    gateway()
