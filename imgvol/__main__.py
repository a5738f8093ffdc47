"""`python -m imgvol`."""

import sys

from imgvol.cli import main

sys.exit(main())
