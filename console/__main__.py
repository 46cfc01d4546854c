"""`python -m console`: the command `keyauthority-console`."""

from keyauthority.programs import console

if __name__ == "__main__":
    console()
