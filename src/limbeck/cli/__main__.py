"""``python -m limbeck.cli`` runs the command line."""

from __future__ import annotations

from limbeck.cli import main

if __name__ == "__main__":
    main()
