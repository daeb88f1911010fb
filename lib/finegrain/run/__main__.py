"""`python -m finegrain.run` is the command `finegrain`."""

from finegrain.run.cli import main

main()
