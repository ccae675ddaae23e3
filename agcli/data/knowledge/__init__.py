"""What is known of the words of the training texts beside the texts themselves, for guides that need it."""
