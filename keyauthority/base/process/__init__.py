"""What a process is made of: settings, sockets, workers, logs, files, clocks, start and stop."""
