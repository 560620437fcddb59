"""The command: runs checks, keeps what they found, writes the page."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from reliability import (
    bad_frames,
    faults,
    loopback,
    overload,
    report,
    six_cameras,
    soak,
)
from reliability.report import Check, Row
from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.ros.launching import use_own_graph
from support.processes import TooLate

CHECKS: tuple[Check, ...] = (
    bad_frames.CHECK,
    faults.CHECK,
    overload.CHECK,
    loopback.CHECK,
    six_cameras.CHECK,
    soak.CHECK,
)
OUTPUT, SHORT_OUTPUT = Path("build/reliability"), Path("build/reliability_short")
DOCUMENT = Path("docs/reliability.md")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "checks:\n" + "\n".join(f"  {check.name:<12} {check.about}" for check in CHECKS)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help="which of the checks below [all]")
    parser.add_argument(
        "--short", action="store_true", help="a rehearsal: fewer messages, less time; figures of its own"
    )
    parser.add_argument(
        "--output", type=Path, help=f"folder of the JSON that is kept [{OUTPUT}; short: {SHORT_OUTPUT}]"
    )
    parser.add_argument(
        "--document", type=Path, help=f"page to write [{DOCUMENT}; short: in the output folder]"
    )


def run(parsed: argparse.Namespace, checks: Sequence[Check] = CHECKS) -> int:
    """Run checks; 1 when a requirement is missed, 130 after Ctrl-C.

    Raises:
        SegmentationError: bad usage.
    """
    output = parsed.output or (SHORT_OUTPUT if parsed.short else OUTPUT)
    document = parsed.document or (output / DOCUMENT.name if parsed.short else DOCUMENT)
    # Whatever the checks start is ended on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    use_own_graph()
    try:
        missed, chosen = 0, _chosen(parsed.checks, checks)
        report.prepare(output, checks, document)
        for check in chosen:
            rows = _run(check, parsed.short)
            missed += sum(not row.passed for row in rows)
            report.save(output, check, rows, report.machine(), parsed.short)
            report.write_page(output, checks, document)
    except KeyboardInterrupt:
        print("\nreliability: stopped", file=sys.stderr)
        return 130
    print(f"written: {document}; {f'{missed} requirements are missed' if missed else 'everything is met'}")
    return 1 if missed else 0


def _chosen(names: Sequence[str], checks: Sequence[Check]) -> list[Check]:
    known = {check.name: check for check in checks}
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no check '{name}': choose from {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)] or list(checks)


def _run(check: Check, short: bool) -> list[Row]:
    """Return a check's rows, told as they come; the last says why, when the check did not end."""
    print(f"{check.title}:", flush=True)
    rows: list[Row] = []
    with closing(check.run(short)) as found:
        try:
            for row in found:
                rows.append(row)
                _tell(row)
        except TooLate as error:
            rows.append(Row("the rest of this check", "it gets to its end", str(error), False))
            _tell(rows[-1])
    return rows


def _tell(row: Row) -> None:
    print(
        f"  {'met   ' if row.passed else 'MISSED'}  {row.did}: {row.measured} (required: {row.required})",
        flush=True,
    )
