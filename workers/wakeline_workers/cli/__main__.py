"""``python -m wakeline_workers.cli``."""

from wakeline_workers.cli import main

main()
