"""`python -m keyauthority`: the command `keyauthority`."""

from keyauthority.programs import keyauthority

if __name__ == "__main__":
    keyauthority()
