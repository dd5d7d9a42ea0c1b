"""What is kept how long, and what of a customer is told and erased on request."""
