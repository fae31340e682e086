"""HTTP processes: the supervisor, its workers, and what they promise on the wire."""
