"""What is wrong: messages that people meet, their causes, the check of each here and now, and the remedy."""
