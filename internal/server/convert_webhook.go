package server

import (
	"bytes"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/task"
)

// webhookFromWire reads a change of a webhook; nil: there is none.
func webhookFromWire(w *fenfav1.Webhook) *task.Webhook {
	if w == nil {
		return nil
	}
	change := &task.Webhook{
		Secret: task.Secret(w.GetSecret()), Concurrency: int(w.GetConcurrency()), Off: w.GetOff(), Forget: w.GetForgetFormer(),
	}
	for _, t := range w.GetTargets() {
		change.Targets = append(change.Targets, task.WebhookTarget{URL: t.GetUrl(), Weight: t.GetWeight()})
	}
	for _, status := range w.GetDeadStatuses() {
		change.DeadStatuses = append(change.DeadStatuses, int(status))
	}
	return change
}

// webhookToWire shows a webhook without its secrets.
func webhookToWire(w *task.Webhook) *fenfav1.Webhook {
	if w == nil {
		return nil
	}
	out := &fenfav1.Webhook{Concurrency: uint32(w.Concurrency)}
	for _, t := range w.Targets {
		out.Targets = append(out.Targets, &fenfav1.WebhookTarget{Url: t.URL, Weight: t.Weight})
	}
	for _, status := range w.DeadStatuses {
		out.DeadStatuses = append(out.DeadStatuses, uint32(status))
	}
	for _, s := range []task.Secret{w.Secret, w.Former} {
		if s != "" {
			out.SecretIds = append(out.SecretIds, task.WebhookSecretID(s))
		}
	}
	return out
}

// hideQueries takes the queries out of a webhook's URLs, which may have secrets, for
// those who may only read.
func hideQueries(w *fenfav1.Webhook) {
	for _, t := range w.GetTargets() {
		if before, _, ok := strings.Cut(t.GetUrl(), "?"); ok {
			t.Url = before + "?hidden"
		}
	}
}

// WebhookForm is the form of requests to webhooks and of their answers: that of the
// API's JSON.
type WebhookForm struct{}

// Request writes a WebhookRequest.
func (WebhookForm) Request(l *task.Leased, timeout time.Duration, records []task.Record, complete bool) ([]byte, error) {
	w := &fenfav1.WebhookRequest{Task: &fenfav1.Task{}, Timeout: durationpb.New(timeout), Records: recordsToWire(records), RecordsComplete: complete}
	taskToWire(&l.Task, l.ID.String(), w.GetTask())
	w.Task.Attempt, w.Task.Delivery = uint32(l.Attempt), uint32(l.Delivery)
	return newStrictJSON().Marshal(w)
}

// Outcome reads a WebhookResponse.
func (WebhookForm) Outcome(body []byte) (task.Outcome, error) {
	var w fenfav1.WebhookResponse
	if err := newStrictJSON().NewDecoder(bytes.NewReader(body)).Decode(&w); err != nil {
		return task.Outcome{}, task.Errorf(task.CodeInvalidArgument, "%s", plainMessage(err.Error()))
	}
	said := &fenfav1.Outcome{
		Result: w.GetResult(), Writes: w.GetWrites(), Reads: w.GetReads(), Emits: w.GetEmits(), Error: w.GetError(), RetryAfter: w.GetRetryAfter(),
	}
	changes := len(said.GetResult())+len(said.GetWrites())+len(said.GetEmits()) > 0
	switch {
	case w.GetDead() && w.GetRetryAfter() != nil:
		return task.Outcome{}, task.Errorf(task.CodeInvalidArgument, "it says dead and retry_after").WithField("retry_after")
	case w.GetDead():
		said.Kind = fenfav1.OutcomeKind_OUTCOME_KIND_DEAD
	case w.GetRetryAfter() != nil || w.GetError() != "":
		said.Kind = fenfav1.OutcomeKind_OUTCOME_KIND_RETRY
	}
	if changes && said.GetKind() != fenfav1.OutcomeKind_OUTCOME_KIND_DONE {
		return task.Outcome{}, task.Errorf(task.CodeInvalidArgument, "an attempt that failed changes nothing: it has a result, writes or emits").WithField("error")
	}
	var o task.Outcome
	err := outcomeFromWire(said, &o)
	return o, err
}
