"""ClickHouse without a server: chDB behind ClickHouse's own HTTP protocol, in one process that owns the data directory.

    launch   starts and stops that process                      (the only part other code calls)
    app      HTTP in, HTTP out                                   aiohttp
    request  what an HTTP request asks for                       pure
    sql      where a statement ends and its data begin           pure
    reply    headers and statuses as ClickHouse gives them       pure
    run      one request on one connection, in a thread          chDB
    engine   chDB itself

Clients cannot tell it from a server, apart from what chDB lacks: users are ours, there is no KILL QUERY by a client's id.
"""
