"""The command `turnpath`: a file a command; nothing here decides anything of the domain."""
