"""`python -m gateway.console` is `keyauthority-console`."""

from gateway.console.cli import main

if __name__ == "__main__":
    main()
