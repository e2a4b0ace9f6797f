"""Put the model of a run on the Hugging Face hub, with a model card made from the run's files.

python scripts/publish.py outputs/my_run --repo me/my-model              # writes the card, lists what would be sent
python scripts/publish.py outputs/my_run --repo me/my-model --upload     # sends it; needs a token (hf auth login)
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path

from ral.errors import UserError
from ral.report.hub import prepare, upload


def main() -> None:
    """Prepare, list, and upload where that is asked for; one line and exit code 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run that came to its end")
    parser.add_argument("--repo", required=True, help="where to: <user or organisation>/<name>")
    parser.add_argument("--license", help="the licence's name on the hub, such as apache-2.0 (default: if it is known)")
    parser.add_argument("--private", action="store_true", help="make a private repository")
    parser.add_argument("--upload", action="store_true", help="send the files; without it nothing leaves this machine")
    given = parser.parse_args()
    try:
        found = prepare(given.run, given.repo, given.license)
        print("\n".join(found.lines))
        print(f"card: {found.folder / 'README.md'}")
        if given.upload:
            print(f"published: {upload(found, given.private)}")
        else:
            print("nothing was sent: add --upload")
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
