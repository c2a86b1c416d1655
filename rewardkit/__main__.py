"""``python -m rewardkit``: the command line."""

import sys

from rewardkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
