"""Real clusters with real processes: the only place where a test may sleep."""
