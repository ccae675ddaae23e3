"""The command line: one file per verb, `app` to join them, `display` for everything that is shown."""
