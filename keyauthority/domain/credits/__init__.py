"""What is done with credits: they are added, set apart for verifiers, spent, returned and summed up."""
