"""The sample system on a target: pushed, deployed, tested, rolled out and back. `make` runs these commands.

python -m imgvol.deployment COMMAND; every setting is a variable of the environment, as `make` passes them on.
"""

from imgvol.deployment.errors import DeploymentError, UsageError
from imgvol.deployment.settings import Settings

__all__ = ["DeploymentError", "Settings", "UsageError"]
