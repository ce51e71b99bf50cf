"""The summary of the demo: what became of the day, by the ledger, by Airflow, and by counts apart from both."""

import json
import os
import subprocess
import sys
from collections import Counter
from datetime import datetime
from typing import Any

from bascule.ledger import Ledger, journal, mailboxes, outage
from bascule.problems import store
from bascule.problems.model import Problem
from bascule.site import load

from lab.airflow.following import PHASES
from lab.airflow.processes import Home, Rest
from lab.paths import CHECKOUT, SITE_FILE, Instance


def summarise(
    instance: Instance, rest: Rest, runs: dict[str, str], answers: list[str], *, seconds: float
) -> dict[str, Any]:
    """Everything that the demo says at its end; `good` is false when anything was lost, doubled or not proven."""
    ledger = Ledger(Home(instance).ledger_url)
    states = mailboxes.mailbox_states(ledger)
    injected = counted(instance, "inject", "report", "--json")
    audit = counted(instance, "audit", "--json")
    summary: dict[str, Any] = {
        "outage_seconds": outage_seconds(ledger),
        "accounts": len(states),
        "folders": sum(state.folders for state in states.values()),
        "messages": sum(state.messages for state in states.values()),
        "bytes": sum(state.bytes for state in states.values()),
        "problems": [problem_line(item) for item in store.problems(ledger, states=("open", "decided", "settled"))],
        "decisions": decision_lines(ledger),
        "kept_on_old": sorted(store.kept_on_old(ledger)),
        "answers": answers,
        "injected": injected["injected"],
        "delivered_once": injected["delivered_once"],
        "lost": [*injected["lost"], *audit["lost"]],
        "duplicated": [*injected["duplicated"], *audit["duplicated"]],
        "misplaced": injected["misplaced"],
        "waiting": injected["waiting"],
        "only_on_old": injected["only_on_old"],
        "unseen": injected["unseen"],
        "where": injected["numbers"],
        "audit": audit,
        "isolation": isolation(ledger),
        "functional_tests": functional_tests(ledger),
        "journal_rows": len(journal.entries(ledger)),
        "journal_holds": journal.broken_link(ledger) is None,
        "report": str(Home(instance).path / "reports" / f"{load(SITE_FILE).name}-report.html"),
        "phases": phases(rest, runs),
        "seconds": round(seconds, 1),
    }
    summary["good"] = is_good(summary)
    return summary


def is_good(summary: dict[str, Any]) -> bool:
    """Each message seen in one place, every test passed, the journal whole, and an outage that has an end."""
    tests = summary["functional_tests"]
    return bool(
        not summary["lost"]
        and not summary["duplicated"]
        and summary["audit"]["good"]
        and summary["delivered_once"] == summary["injected"] > 0
        and not summary["unseen"]
        and tests
        and all(test["ok"] for test in tests.values())
        and summary["journal_holds"]
        and summary["isolation"]
        and summary["outage_seconds"]
    )


def counted(instance: Instance, *words: str) -> dict[str, Any]:
    """What a counting command of the lab prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "lab", "--instance", instance.name, *words],
        cwd=CHECKOUT, stdout=subprocess.PIPE, check=True, text=True, env=os.environ,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


def outage_seconds(ledger: Ledger) -> float | None:
    """From the moment from which nobody reads mail to IMAP served by new, as the journal has it."""
    took = outage.seconds(ledger)
    return None if took is None else round(took, 1)


def times(ledger: Ledger, kind: str, event: journal.Event, **parameters: str) -> list[datetime]:
    """When the changes of this kind, with these among their parameters, came to this event."""
    return [
        entry.at
        for entry in journal.entries(ledger, kind=kind, event=event)
        if entry.at and parameters.items() <= entry.parameters.items()
    ]


def isolation(ledger: Ledger) -> str | None:
    """What was verified about IMAP on old while it was isolated and running, as a sentence; None: nothing was."""
    verified = times(ledger, "firewall", "unchanged", side="old", state="isolated")
    part = load(SITE_FILE).isolation.old
    if not verified:
        return None
    return (
        f"at {verified[-1]:%H:%M:%S} UTC refused from {', '.join(part.refused_from)}, "
        f"reached from where the copy runs ({', '.join(part.allow)})"
    )


def functional_tests(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """The last result of each functional test, by its name."""
    return {entry.subject: entry.after or {} for entry in journal.entries(ledger, kind="functional test")}


def problem_line(problem: Problem) -> dict[str, str]:
    return {"account": problem.account, "kind": problem.kind, "subject": problem.subject, "state": problem.state}


def decision_lines(ledger: Ledger) -> list[dict[str, Any]]:
    """Every decision of the journal: about what, what, by whom, when."""
    return [
        {"account": entry.subject, "kind": entry.kind, "at": entry.at, **(entry.after or {})}
        for entry in journal.entries(ledger, event="decision")
    ]


def phases(rest: Rest, runs: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Start and end of every task of every phase."""
    found = {}
    for dag, run in [*runs.items(), *((phase, runs["migrate"]) for phase in PHASES)]:
        found[dag] = [
            {
                "task": task["task_id"],
                "name": task.get("rendered_map_index"),
                "state": task["state"],
                "start": task["start_date"],
                "end": task["end_date"],
            }
            for task in sorted(rest.tasks(dag, run), key=lambda task: task["start_date"] or "")
            if task["start_date"]
        ]
    return found


def elsewhere(summary: dict[str, Any]) -> list[str]:
    """What else may be wrong with numbered messages, in words; nothing: they are where they must be."""
    kinds = {
        "misplaced": "in a wrong mailbox", "waiting": "waiting in queues", "only_on_old": "on old only",
        "unseen": "places that could not be looked into",
    }  # fmt: skip
    return [f"{len(summary[kind])} {words}" for kind, words in kinds.items() if summary[kind]]


def print_summary(summary: dict[str, Any]) -> None:
    """The summary in sentences."""
    outage = summary["outage_seconds"]
    print("\n" + "=" * 78)
    print("The day is done." if summary["good"] else "The day is done, but NOT everything is good: see below.")
    print(f"  outage             {outage / 60:.1f} minutes" if outage else "  outage             not known")
    print(f"  accounts           {summary['accounts']}, {summary['folders']} folders")
    print(f"  messages           {summary['messages']:,}, {summary['bytes'] / 1e6:.1f} MB")
    print(f"  problems           {len(summary['problems'])}")
    for problem in summary["problems"]:
        print(f"    {problem['account']}: {problem['kind']}: {problem['subject']!r}: {problem['state']}")
    sources = Counter(decision.get("source", "gate") for decision in summary["decisions"])
    print(f"  decisions          {', '.join(f'{count} by {source}' for source, count in sorted(sources.items()))}")
    print(f"  kept on old        {', '.join(summary['kept_on_old']) or 'no mailbox'}")
    print(
        f"  injected           {summary['injected']} numbered messages, {summary['delivered_once']} in exactly one "
        f"place, {len(summary['lost'])} lost, {len(summary['duplicated'])} twice"
    )
    for words in elsewhere(summary):
        print(f"                     {words}")
    print(f"  IMAP on old        {summary['isolation'] or 'was never seen isolated'}")
    for name, test in summary["functional_tests"].items():
        print(f"  {'passed' if test['ok'] else 'FAILED'}             {name}: {test['evidence']}")
    chain = "holds" if summary["journal_holds"] else "is BROKEN"
    print(f"  journal            {summary['journal_rows']} rows, the chain {chain}")
    for line in [*summary["lost"][:20], *summary["duplicated"][:20], *summary["audit"].get("differences", [])[:20]]:
        print(f"  !                  {line}")
    print(f"  report             {summary['report']}")
    print("  everything         var/summary.json")
    print("=" * 78)
