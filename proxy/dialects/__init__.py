"""URL grammars: raw path to job, and job to path. A file here is a dialect."""
