"""python -m contagion_graph.cli: the same as contagion-graph."""

import sys

from contagion_graph.cli.main import main

sys.exit(main())
