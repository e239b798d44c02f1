"""`python -m purecnn` is the command `purecnn`."""

from purecnn.cli import main

raise SystemExit(main())
