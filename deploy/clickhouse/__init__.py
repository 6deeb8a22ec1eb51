"""ClickHouse without an installation: the engine in chDB's package serves its HTTP and native protocol on loopback.

The package holds a whole clickhouse-local, whose `SYSTEM START LISTEN` opens ClickHouse's real handlers. So queries,
users and rights, compression, sessions, cancelling and streaming are the engine's. This package starts, guards and
stops it:

    launch      starts and stops the process; other code calls this.
    __main__    the process: claims the directory, serves, ends.
    engine      loads the engine and makes it listen.
    accounts    the accounts and the rights of each (pure).
    config      the engine's configuration files (pure).
    passwords   the passwords of a data directory, in a file of mode 0600.
    login       checks passwords for the engine.
    sandbox     Landlock: the files and ports that the engine's threads can reach.
    disk_guard  guards the store while its disk is nearly full.
    statement   one statement over HTTP, for the disk guard and the stop.
"""
