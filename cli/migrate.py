"""`turnpath migrate`: topics and tables."""

import click

from broker.topics import make_topics
from settings import load
from sql.migrate import migrate


@click.command()
def command() -> None:
    """Make the topics in Kafka and the tables in ClickHouse where they are missing, and lay the views anew.

    It may be run at any time, and again; of two at once one waits for the other, for a minute. The time zone of the
    first run stays: a day is what it says. `turnpath up` does this by itself.
    """
    settings = load()
    for sentence in make_topics(settings):
        click.echo(sentence, err=True)
    migrate(settings)
    click.echo("tables and views are as they should be", err=True)
