//go:build generated

package openapi_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/fenfa/fenfa/tools/openapi/client"
)

func noError(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func of[T any](v T) *T { return &v }

func TestAGeneratedClientWorks(t *testing.T) {
	url := startNode(t)
	judge := newJudged(t, load(t.Context(), t), url)
	c, err := client.NewClientWithResponses(url, client.WithHTTPClient(judge))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()

	made, err := c.QueueConfigureWithResponse(ctx, "orders", client.Queue{Order: of("key"), Timeout: of("5s")})
	noError(t, "configure", err)
	if made.JSON200 == nil || !*made.JSON200.Created {
		t.Fatalf("configure: %s", made.Body)
	}
	var document any = map[string]any{"sku": "A1", "qty": json.Number("12345678901234567890")}
	done, err := c.TaskSubmitWithResponse(ctx, client.SubmitRequest{Tasks: &[]client.Task{
		{Queue: of("orders"), Key: of("A1"), Type: of("order.placed"), PayloadJson: &document},
		{Queue: of("nowhere")},
	}})
	noError(t, "submit", err)
	if done.JSON200 == nil {
		t.Fatalf("submit: %s", done.Body)
	}
	results := *done.JSON200.Results
	if len(results) != 2 || results[0].Error != nil || *results[1].Error.Code != client.CODENOTFOUND {
		t.Fatalf("submit: %s", done.Body)
	}
	if payload := payloadOf(t, c, *results[0].Id); payload != `{"qty":12345678901234567890,"sku":"A1"}` {
		t.Errorf("the payload is %s", payload)
	}

	written, err := c.StatePutWithResponse(ctx, "sku/A 1", "stock", client.PutRecordRequestBody{ValueJson: of(any(map[string]any{"left": 3}))})
	noError(t, "put", err)
	if written.JSON200 == nil {
		t.Fatalf("put: %s", written.Body)
	}
	again, err := c.StatePutWithResponse(ctx, "sku/A 1", "stock", client.PutRecordRequestBody{ValueText: of("x")})
	noError(t, "put over another version", err)
	if again.JSON409 == nil || again.JSON409.Error.Code != client.ErrorDetailCodeConflict {
		t.Fatalf("put over another version: %s", again.Body)
	}
	read, err := c.StateGetWithResponse(ctx, "sku/A 1", "stock")
	noError(t, "get", err)
	if read.JSON200 == nil || string(*read.JSON200.Record.Value) != `{"left":3}` || *read.JSON200.Record.Version != *written.JSON200.Version {
		t.Fatalf("get: %s", read.Body)
	}
	listed, err := c.StateScanWithResponse(ctx, &client.StateScanParams{KeyPrefix: of("sku/"), PageSize: of(uint32(10))})
	noError(t, "scan", err)
	if listed.JSON200 == nil || len(*listed.JSON200.Records) != 1 {
		t.Fatalf("scan: %s", listed.Body)
	}
	missing, err := c.StateGetWithResponse(ctx, "sku/A 1", "nothing")
	noError(t, "get nothing", err)
	if missing.StatusCode() != http.StatusNotFound || missing.JSON404 == nil {
		t.Fatalf("get nothing: %s", missing.Body)
	}
	if len(judge.seen) < 8 {
		t.Errorf("only %v was judged", judge.seen)
	}
}

// payloadOf is the payload of a task, which shows once a partition has read it.
func payloadOf(t *testing.T, c *client.ClientWithResponses, id string) string {
	t.Helper()
	for {
		task, err := c.TaskGetWithResponse(t.Context(), id)
		noError(t, "get", err)
		if task.JSON200 == nil {
			t.Fatalf("get: %s", task.Body)
		}
		if kept := task.JSON200.Status.Task; kept != nil {
			return string(*kept.Payload)
		}
	}
}
