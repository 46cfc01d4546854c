// Package unavailable answers each request as the gateway does that has no verdict: Traefik serves no
// page of its own.
package unavailable

import (
	"context"
	"net/http"
)

const envelope = `{"error":{"message":"api keys cannot be verified at the moment: retry","type":"server_error","code":"verification_unavailable"}}`

// Config has no settings.
type Config struct{}

// CreateConfig is called by Traefik.
func CreateConfig() *Config { return &Config{} }

// New is called by Traefik.
func New(_ context.Context, _ http.Handler, _ *Config, _ string) (http.Handler, error) {
	return http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Content-Type", "application/json")
		writer.Header().Set("Retry-After", "1")
		writer.WriteHeader(http.StatusServiceUnavailable)
		_, _ = writer.Write([]byte(envelope))
	}), nil
}
