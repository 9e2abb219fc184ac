"""Makes `train_toys` importable by name, in worker processes too (they take over `sys.path`)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
