"""What `framekeep` does on the command line. A file here is a command."""
