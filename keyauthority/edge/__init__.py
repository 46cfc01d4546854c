"""What an HTTP edge reads of a request and answers: for the gateway, and for Envoy's questions."""
