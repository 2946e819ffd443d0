"""Ctrl-C ends the program at once and without a traceback, even while it is still being imported; imported first."""

import signal
import sys
from pathlib import PurePath

PROGRAMS = (("eventscope",), ("eventscope", "__main__.py"))

# whoever imports a part of us into a program of their own keeps their own handling of signals
ours = any(PurePath(sys.argv[0]).parts[-len(end) :] == end for end in PROGRAMS)
if ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
