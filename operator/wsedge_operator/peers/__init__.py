"""HTTP to the other two programs, in the messages of their contracts.

    relays       asks relays which configuration they run
    statistics   finds the statistics, and puts the Directory there

Never imports the runtime.
"""
