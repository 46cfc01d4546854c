"""`python -m keyauthority`: the command `keyauthority`."""

from keyauthority.cli import main

if __name__ == "__main__":
    main()
