"""`framekeep prepare`: render millions of pictures ahead of time.

A manifest (`manifest`) is cut into shards of about 200 sources (`shards`). An engine (`engines`)
runs each of them with the parts of the server, without HTTP (`renderer`), and an output (`outputs`)
makes the results last. A report of each shard (`report`) says what is done.
"""
