package fenfa

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Activity is one change that a person or a program asked for: of settings, dead
// letters, tokens, workers.
type Activity struct {
	At      time.Time
	Actor   string // name of the token; empty: the node asked for none
	TokenID string
	Address string // where the call came from
	Node    string
	Method  string   // like "QueueService.Configure"
	On      []string // what it was about: names of queues, ids of tasks
	Request string   // as JSON, without payloads, secrets and values of headers
	Outcome string   // "ok", a code like "not_found", or "begun" where the node ended before it did
	Message string   // why it failed
	Took    time.Duration
}

// ActivityFilter says which changes are wanted. Its zero value is those of the last 24
// hours.
type ActivityFilter struct {
	Since, Until time.Time
	Actor        string // name of a token
	Method       string // a part of the method's name
}

// Activity lists who has changed what, newest first, and returns the token of the next
// page, empty after the last. It needs the scope *:admin where the node asks for
// tokens.
func (c *Client) Activity(ctx context.Context, f ActivityFilter, page Page) ([]Activity, string, error) {
	req := &fenfav1.ListActivityRequest{Actor: f.Actor, Method: f.Method, PageSize: clampUint32(page.Size), PageToken: page.Token}
	if !f.Since.IsZero() {
		req.Since = timestamppb.New(f.Since)
	}
	if !f.Until.IsZero() {
		req.Until = timestamppb.New(f.Until)
	}
	resp, err := call(ctx, c, "list activity", c.activity.List, req)
	if err != nil {
		return nil, "", err
	}
	all := make([]Activity, len(resp.GetActivities()))
	for i, w := range resp.GetActivities() {
		all[i] = Activity{
			At: timeOf(w.GetAt()), Actor: w.GetActor(), TokenID: w.GetTokenId(), Address: w.GetAddress(), Node: w.GetNode(), Method: w.GetMethod(),
			On: w.GetOn(), Request: w.GetRequest(), Outcome: w.GetOutcome(), Message: w.GetMessage(), Took: w.GetTook().AsDuration(),
		}
	}
	return all, resp.GetNextPageToken(), nil
}
