"""``wallaroo-cluster``: inspect and control a running cluster."""

import click

from wallaroo_cli import DISTRIBUTION
from wallaroo_cli import cluster_changing as changing
from wallaroo_cli import cluster_looking as looking
from wallaroo_cli.certificates import certificates
from wallaroo_cli.original.client import external
from wallaroo_cli.top import top

EPILOG = """\b
Without --cluster the command addresses the cluster that was started in the current folder.

\b
Examples:
  wallaroo-cluster status
  wallaroo-cluster top
  wallaroo-cluster get counts apple --json
  wallaroo-cluster grow --workers 2
  wallaroo-cluster stop

Exit status: 0 on success, 1 if the request was refused or failed, 2 for a mistake on the command
line, 3 if there is no cluster."""


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=DISTRIBUTION)
def main() -> None:
    """Inspect and control a running cluster."""


for _command in (
    looking.list_clusters,
    looking.status,
    top,
    looking.partitions,
    looking.splits,
    looking.clocks,
    looking.keys,
    looking.get,
    looking.events,
    looking.logs,
    changing.delete,
    changing.checkpoint,
    changing.grow,
    changing.shrink,
    changing.drain,
    changing.stop,
    certificates,
    external,
):
    main.add_command(_command)


if __name__ == "__main__":
    main()
