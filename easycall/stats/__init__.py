"""What happened, kept and added up: the journal, its events as JSON, and the record of one contact."""
