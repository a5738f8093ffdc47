"""What all tests of our own code share."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No test depends on how fast a machine is.
settings.register_profile("imgvol", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("imgvol")
