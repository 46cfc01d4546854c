"""`python -m console` is `keyauthority-console`."""

from console.cli import main

if __name__ == "__main__":
    main()
