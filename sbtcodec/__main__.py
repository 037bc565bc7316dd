"""The command line as `python -m sbtcodec`."""

from sbtcodec.cli import main

if __name__ == "__main__":
    main()
