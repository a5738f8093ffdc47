"""What all tests of our own code share."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# No test depends on how fast a machine is.
settings.register_profile("imgvol", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("imgvol")

# A shell's background job ignores SIGINT, and so would the programs that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
