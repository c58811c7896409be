"""``python -m covidnet``: the console script where it is not on the path."""

import sys

from covidnet.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
