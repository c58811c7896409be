"""Run the command line: ``python train.py [command] [group=name ...] [key=value ...]``; ``--help`` tells the rest."""

import sys

from covidnet.commands.main import main

if __name__ == "__main__":
    sys.exit(main(default="run"))
