"""What a real Asterisk said, byte for byte: ``python -m tests.transcripts.record`` records them anew."""
