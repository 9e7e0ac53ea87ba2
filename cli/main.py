"""The entry point: finds the command's file, turns errors into a sentence and an exit code."""

import importlib
import logging
import sys

import click

from journey.errors import TurnpathError

#: name -> one line for `turnpath --help`; the command itself is `command` in cli/<name>.py, loaded when it is called.
COMMANDS = {
    "up": "Run the whole stack on this machine.",
    "worker": "Run one worker: events in, moves and rooms out.",
    "clickhouse": "Run the embedded ClickHouse.",
    "scheduler": "Run the scheduler: the seal at 00:40, and export jobs.",
    "web": "Run the web page.",
    "migrate": "Make topics and tables, lay the views anew.",
    "replay": "Send a file of events through Kafka.",
    "check": "Say which events of a file are valid.",
    "simulate": "Send the turns of a made-up shop's bots.",
    "seal": "Seal the days that are due; reseal, verify or show one.",
    "table": "Print the journey table of a bot.",
    "export": "Write the journey table to an xlsx file.",
    "exports": "List the exports of jobs; make one now; check a file of jobs.",
    "dead-letters": "List the records that break the contract; send them again.",
    "doctor": "Say what runs, what does not, and what to do.",
}


class LazyGroup(click.Group):
    """Loads a command's file only when that command is called: `turnpath --help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"cli.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="turnpath", prog_name="turnpath")
def turnpath() -> None:
    """Where do customers go in a chatbot's scenario? Live journeys, exact and sealed.

    Start with `turnpath up`; then `turnpath simulate` sends events and the page shows them.
    Settings come from the environment, TURNPATH_…: see docs/settings.md.
    """


def main() -> None:
    """Run a command; exit codes are DESIGN.md's (0 done, 2 usage, 3 a setting, 4 unreachable, 5 no data …)."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it has to say comes as our sentence, too
    try:
        turnpath(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except TurnpathError as error:
        click.echo(f"turnpath: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
