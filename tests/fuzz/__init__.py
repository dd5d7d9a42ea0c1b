"""Coverage-guided fuzzing of the two codecs: ``make fuzz``.  Found inputs are kept in var/fuzz."""
