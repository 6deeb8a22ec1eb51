"""ClickHouse without an installation: the engine in chDB's package, serving its own HTTP and native protocol on loopback.

The package holds a whole clickhouse-local, whose `SYSTEM START LISTEN` opens ClickHouse's real handlers. So queries, users and
rights, compression, sessions, cancelling and streaming are the engine's. What stands here starts, guards and stops it:

    launch     starts and stops the process                     (what other code calls)
    __main__   the process: claims the directory, serves, ends
    engine     loads the engine and makes it listen
    accounts   who may log in and what each may do               pure
    config     the engine's configuration files                  pure
    passwords  the passwords of a data directory, in a file of mode 0600
    login      answers the engine when it asks whether a password is right
    sandbox    Landlock: which files and ports the engine's threads can reach
    room       what to do about a disk that is nearly full
    http       one statement over HTTP, for the guard of the disk
"""
