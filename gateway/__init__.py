"""The HTTP edge: turns `/v1` Bearer requests into verdicts and forwards the accepted ones."""
