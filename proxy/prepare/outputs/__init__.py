"""Where prepared renditions last: in the cache of this machine, in the bucket, or as files."""
