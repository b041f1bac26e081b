"""``wallaroo-cluster``: what belongs to a whole cluster."""

import click

from wallaroo_cli.certificates import certificates


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Prepare and operate a cluster."""


main.add_command(certificates)


if __name__ == "__main__":
    main()
