"""From an old filter to the new one: a list of edits on the source text, each with its reason, and what a person must
decide."""

from bascule.sieve.language import description
from bascule.sieve.model import Context, Conversion, Edit, Finding, Report, apply
from bascule.sieve.parser import parse, parse_leniently
from bascule.sieve.rules import RULES
from bascule.sieve.rules.encoding import OTHER_OCTETS, windows_1252
from bascule.sieve.rules.invisible import blanked, places_of
from bascule.sieve.syntax import Script, SieveSyntaxError

BOM = "\ufeff"


def convert(source: str, context: Context | None = None) -> Conversion:
    """Convert one Sieve script. Raises SieveSyntaxError when it is none, even without colons too many."""
    report = Report(parsed(source), context or Context())
    if source.startswith(BOM):
        report.edit(0, 1, "", "byte-order-mark", "a byte order mark at the beginning is no part of a Sieve script")
    for rule in RULES:
        rule(report)
    return _conversion(source, report)


def parsed(source: str) -> Script:
    """The script as the converter reads it: with a byte order mark, characters that can't be seen, or colons too many.

    Raises SieveSyntaxError.
    """
    # A space in the mark's place, so that all offsets are the source's.
    text = " " + source[1:] if source.startswith(BOM) else source
    try:
        return parse(text)
    except SieveSyntaxError as error:
        text, places = blanked(text)
        script = _parse_overlooking_colons(text, error)
        places_of(script).extend(places)
        return script


def _parse_overlooking_colons(text: str, error: SieveSyntaxError) -> Script:
    """Only in the arguments of known words: else it is text in another language, and the strict error is raised."""
    try:
        script = parse_leniently(text)
    except SieveSyntaxError:
        raise error from None
    if all(colon.node is not None and description(colon.node) for colon in script.stray_colons):
        return script
    raise error


def _conversion(source: str, report: Report) -> Conversion:
    chosen: list[Edit] = []
    left: list[Finding] = []
    for finding in report.findings:
        choice = report.context.repairs.get(finding.rule, "ask")
        if choice == "repair" and finding.repair:
            chosen += finding.repair
        elif choice != "keep":
            left.append(finding)
    made = _side_by_side(chosen + report.edits)
    repairs = [edit for finding in report.findings for edit in finding.repair]
    return Conversion(
        source=source,
        text=apply(source, made),
        # What other edits have taken over from a text that is not UTF-8 is repaired with it.
        proposed=OTHER_OCTETS.sub(
            lambda run: windows_1252(run[0]), apply(source, _side_by_side(repairs + report.edits))
        ),
        edits=tuple(made),
        findings=tuple(sorted(left, key=lambda finding: finding.offset)),
    )


def _side_by_side(edits: list[Edit]) -> list[Edit]:
    """In the order of the source, without those inside a larger one (a string in a command that is rewritten); of two
    for the same place the first."""
    kept: list[Edit] = []
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end > edit.start, -edit.end)):
        inside = kept and edit.start < kept[-1].end
        if not inside:
            kept.append(edit)
    return sorted(kept, key=lambda edit: (edit.start, edit.end))
