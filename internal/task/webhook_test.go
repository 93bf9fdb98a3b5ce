package task_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/task"
)

const canary = "canary of the webhook"

func hooked(change func(*task.Webhook)) task.Queue {
	q := task.DefaultQueue("q")
	w := &task.Webhook{Targets: []task.WebhookTarget{{URL: "https://a.example/x"}}, Secret: canary}
	if change != nil {
		change(w)
	}
	q.Merge(task.Queue{Webhook: w})
	return q
}

func TestASecretShowsItselfNowhere(t *testing.T) {
	q := hooked(nil)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", q.Webhook.Secret)
	for _, text := range []string{
		fmt.Sprint(q.Webhook.Secret), fmt.Sprintf("%s %q %v %+v %#v %x", q.Webhook.Secret, q.Webhook.Secret, *q.Webhook, *q.Webhook, *q.Webhook, q.Webhook.Secret),
		task.WebhookSecretID(q.Webhook.Secret), log.String(),
	} {
		if strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) {
			t.Errorf("it is in %s", text)
		}
	}
	stored, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	var back task.Queue
	if err := json.Unmarshal(stored, &back); err != nil || back.Webhook.Secret != canary {
		t.Errorf("it is not stored: %v", err)
	}
}

func TestAChangeOfAWebhookKeepsTheRest(t *testing.T) {
	q := hooked(nil)
	if w := q.Webhook; w.Concurrency != 16 || len(w.DeadStatuses) != 2 || w.Targets[0].Weight != 1 || q.Validate() != nil {
		t.Fatalf("%+v", *w)
	}
	before := q.Webhook
	q.Merge(task.Queue{Webhook: &task.Webhook{Secret: "another secret, long"}})
	if w := q.Webhook; w.Former != canary || w.Secret != "another secret, long" || len(w.Targets) != 1 || before.Former != "" {
		t.Errorf("%+v", *w)
	}
	q.Merge(task.Queue{Webhook: &task.Webhook{Secret: "another secret, long"}})
	if q.Webhook.Former != canary {
		t.Error("the same secret again made the former one another")
	}
	q.Merge(task.Queue{Webhook: &task.Webhook{Forget: true, Concurrency: 3}})
	if w := q.Webhook; w.Former != "" || w.Concurrency != 3 || w.Secret != "another secret, long" {
		t.Errorf("%+v", *w)
	}
	q.Merge(task.Queue{Timeout: 5})
	if q.Webhook == nil {
		t.Error("another change took it away")
	}
	q.Merge(task.Queue{Webhook: &task.Webhook{Off: true}})
	if q.Webhook != nil {
		t.Error("it is not off")
	}
}
