"""Tables as data, and one writer for each form but the terminal's, which is in `agcli.cli.tables`."""
