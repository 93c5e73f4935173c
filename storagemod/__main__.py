"""``python -m storagemod`` is the command ``storagemod``."""

import sys

from storagemod.cli import main

sys.exit(main())
