"""What survives a crash: the database, and the files beside it."""
