"""What runs the shards: one file each."""
