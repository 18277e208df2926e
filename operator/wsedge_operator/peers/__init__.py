"""HTTP to the other two programs, in the messages of their contracts.

    relays   asks relays which configuration they run

Never imports the runtime.
"""
