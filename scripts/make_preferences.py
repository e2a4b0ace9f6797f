"""Turn a dataset with gold answers into preference pairs for algo=reward_model, as JSON lines for dataset=jsonl.

    python scripts/make_preferences.py --output outputs/pairs.jsonl                   # of visual_search, made first
    python scripts/make_preferences.py --data my/data.json --output outputs/pairs.jsonl

chosen: the entry's own reasoning and right answer in the form that prompts ask for. rejected, in the same form: another
of its options, also in the reasoning; without options, the response to an entry with another answer, of the same
question where there is one, else of the same problem type. So the picture or clip tells the two apart, not their form.
An entry without reasoning gives answers alone. Entries for which there is no other answer, or whose reasoning does not
name the right option, are left out and counted; so are those that cannot be used.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works from a clone without installation

from ral.data.bad import ROOT_KEY
from ral.data.sources import parse_own, read_file
from ral.errors import UserError
from ral.files.targets import HELP, OVERWRITE, check_apart, check_free
from ral.worlds.preferences import entry, pairs, try_writing, usable, visual_search, write


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 with the output's path as the last line, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="JSON or JSON lines, in the format of dataset=jsonl")
    parser.add_argument("--media-root", type=Path, help="folder that media paths are relative to (default: its own)")
    parser.add_argument("--output", type=Path, required=True, help="file to write, .jsonl")
    parser.add_argument(OVERWRITE, action="store_true", help=HELP)
    parser.add_argument("--limit", type=int, help="first entries of the data (default: all; 4000 without --data)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the choice of rejected responses (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    try:
        check_apart(options.output, [options.data])
        check_free([options.output], options.overwrite)
        try_writing(options.output)
        data = options.data or visual_search(options.limit or 4000)
        entries = read_file(data, media_root=options.media_root, limit=options.limit, parse=parse_own)
        examples, bad = usable(entries)
        if not examples:
            raise bad[0]
    except UserError as error:
        print(f"error: {str(error).replace(ROOT_KEY, '--media-root')}", file=sys.stderr)
        return 1
    count = write((entry(*pair) for pair in pairs(examples, options.seed)), options.output)
    print(f"pairs: {count} left out: {len(examples) - count} bad: {len(bad)}" + (f" ({bad[0]}, ...)" if bad else ""))
    print(f"output: {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
