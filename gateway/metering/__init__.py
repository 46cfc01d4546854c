"""What a request asks for, what its answer used, and by which price it goes. Pure: no I/O, no clock."""
