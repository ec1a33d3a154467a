"""The command ``luna``: the same program as the one that Cargo builds."""

import signal
import sys

from . import _luna


def main() -> int:
    """Run the program with the arguments of this process; return its exit code."""
    # Python's handler would only note Ctrl-C until the program returns.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _luna.main(sys.argv)


if __name__ == "__main__":
    sys.exit(main())
