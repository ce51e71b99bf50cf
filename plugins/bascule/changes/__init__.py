"""Changes: the reversible acts on the infrastructure, one module per kind.

`KINDS` names every kind that the journal and the operators may ask for; a kind's module is imported when it is needed.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bascule.changes.acts import Act
    from bascule.changes.base import Change
    from bascule.hosts.access import Access

KINDS = {
    "service": "bascule.changes.service:ServiceState",
    "restart": "bascule.changes.service:ServiceRestart",
    "virtual_machine": "bascule.changes.virtual_machine:VirtualMachineState",
    "firewall": "bascule.changes.firewall:Isolation",
    "directory": "bascule.changes.directory:Destination",
    "directory_kept": "bascule.changes.directory:KeptDestination",
    "quota": "bascule.changes.quota:AccountQuota",
    "aliases": "bascule.changes.aliases:AliasMap",
    "address": "bascule.changes.address:ServiceAddress",
    "webmail": "bascule.changes.webmail:WebmailRedirect",
}


def again(access: "Access", act: "Act") -> "Change":
    """The change of an act in the journal, made again from its parameters."""
    return kind(act.kind).from_parameters(access, act.parameters)


def kind(name: str) -> "type[Change]":
    """The class of a kind of change."""
    module, _, cls = KINDS[name].partition(":")
    return getattr(import_module(module), cls)
