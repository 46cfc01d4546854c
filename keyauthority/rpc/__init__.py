"""The authority as gRPC services: messages to the domain and back, and who may call what."""
