"""The parts of every process: settings, sockets, workers, logs, files, clocks, start and stop."""
