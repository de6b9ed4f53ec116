"""Worker processes: a light helper that forks them, and its handle in the client. Imports nothing heavy."""
