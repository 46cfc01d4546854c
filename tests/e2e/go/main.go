// A client of the authority's own API, on generated code: it issues a key, verifies it, revokes it, verifies it
// again, and asks for one that is not there.
//
//	client ADDRESS WORKSPACE
//
// The token is in TOKEN. Prints one JSON document.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	keyauthorityv1 "opentoken.kr/keyauthority/v1"
)

func main() {
	address, workspace := os.Args[1], os.Args[2]
	channel, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	defer channel.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+os.Getenv("TOKEN"))
	keys := keyauthorityv1.NewKeyServiceClient(channel)
	verification := keyauthorityv1.NewVerificationServiceClient(channel)

	issued, err := keys.IssueKey(ctx, &keyauthorityv1.IssueKeyRequest{
		WorkspaceId: workspace,
		Name:        "from go",
		Labels:      map[string]string{"team": "search"},
	})
	check(err)
	question := &keyauthorityv1.VerifyRequest{Secret: issued.Secret}
	before, err := verification.Verify(ctx, question)
	check(err)
	revoked, err := keys.RevokeKey(ctx, &keyauthorityv1.RevokeKeyRequest{KeyId: issued.Key.Id})
	check(err)
	after, err := verification.Verify(ctx, question)
	check(err)
	_, refusal := keys.GetKey(ctx, &keyauthorityv1.GetKeyRequest{KeyId: "key_0123456789ABCDEF"})

	check(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"key": issued.Key.Id,
		"before": map[string]any{
			"verdict":   before.Verdict.String(),
			"key":       before.Key.Id,
			"workspace": before.Key.WorkspaceId,
			"labels":    before.Key.Labels,
		},
		"state":   revoked.Key.State.String(),
		"after":   after.Verdict.String(),
		"refusal": described(refusal),
	}))
}

// The one google.rpc.ErrorInfo that every error of the authority carries.
func described(err error) map[string]any {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return map[string]any{
				"status":   status.Code(err).String(),
				"reason":   info.Reason,
				"domain":   info.Domain,
				"metadata": info.Metadata,
			}
		}
	}
	return nil
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
