package task

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
)

// Limits of the webhook of a queue.
const (
	MaxWebhookTargets     = 64
	MaxWebhookURL         = 2048
	MinWebhookSecret      = 16
	MaxWebhookSecret      = 256
	MaxWebhookConcurrency = 10_000

	webhookConcurrency = 16
)

// WebhookSecretID tells secrets apart without showing them; empty for none.
func WebhookSecretID(s Secret) string {
	if s == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("fenfa webhook secret\x00" + s.Reveal()))
	return hex.EncodeToString(sum[:6])
}

// Webhook says that a queue's tasks are pushed to URLs. It is replaced, never
// changed.
type Webhook struct {
	Targets      []WebhookTarget `json:"targets"`
	Secret       Secret          `json:"secret"`           // signs requests
	Former       Secret          `json:"former,omitempty"` // the one before; signs too, until it is forgotten
	Concurrency  int             `json:"concurrency"`      // requests under way to each URL, default 16
	DeadStatuses []int           `json:"dead_statuses"`    // answers after which a task is dead, default 410 and 422
	Off          bool            `json:"off,omitempty"`    // only in a change: no webhook any more
	Forget       bool            `json:"forget,omitempty"` // only in a change: drop the former secret
}

// MarshalJSON writes what is stored, secrets as they are.
func (w Webhook) MarshalJSON() ([]byte, error) {
	type rest Webhook
	return json.Marshal(struct {
		rest

		Secret string `json:"secret"`
		Former string `json:"former,omitempty"`
	}{rest(w), w.Secret.Reveal(), w.Former.Reveal()})
}

// WebhookTarget is one URL, a member in balancing like a worker.
type WebhookTarget struct {
	URL    string  `json:"url"`
	Weight float64 `json:"weight"` // default 1
}

// merge returns what becomes of the webhook by a change, which is not nil.
func (w *Webhook) merge(change *Webhook) *Webhook {
	if change.Off {
		return nil
	}
	now := Webhook{Concurrency: webhookConcurrency, DeadStatuses: []int{http.StatusGone, http.StatusUnprocessableEntity}}
	if w != nil {
		now = *w
	}
	if len(change.Targets) > 0 {
		now.Targets = slices.Clone(change.Targets)
		for i := range now.Targets {
			if now.Targets[i].Weight == 0 {
				now.Targets[i].Weight = 1
			}
		}
	}
	if change.Secret != "" && change.Secret != now.Secret {
		now.Secret, now.Former = change.Secret, now.Secret
	}
	if change.Forget {
		now.Former = ""
	}
	set(&now.Concurrency, change.Concurrency)
	if len(change.DeadStatuses) > 0 {
		now.DeadStatuses = slices.Clone(change.DeadStatuses)
	}
	return &now
}

// Validate reports the first setting that is out of range.
func (w *Webhook) Validate() error {
	bad := func(field, format string, args ...any) error {
		return Errorf(CodeInvalidArgument, format, args...).WithField("webhook." + field)
	}
	switch {
	case len(w.Targets) == 0 || len(w.Targets) > MaxWebhookTargets:
		return bad("targets", "the webhook has %d targets: want 1 to %d", len(w.Targets), MaxWebhookTargets)
	case len(w.Secret) < MinWebhookSecret || len(w.Secret) > MaxWebhookSecret:
		return bad("secret", "the webhook's secret has %d bytes: want %d to %d, so that the receiver can tell who calls", len(w.Secret), MinWebhookSecret, MaxWebhookSecret)
	case w.Concurrency < 1 || w.Concurrency > MaxWebhookConcurrency:
		return bad("concurrency", "the webhook's concurrency is %d: want 1 to %d", w.Concurrency, MaxWebhookConcurrency)
	}
	for _, status := range w.DeadStatuses {
		if status < 400 || status > 499 || status == http.StatusTooManyRequests {
			return bad("dead_statuses", "status %d cannot mean that a task is dead: want 400 to 499, and not 429", status)
		}
	}
	for i, t := range w.Targets {
		u, err := url.Parse(t.URL)
		switch {
		case len(t.URL) > MaxWebhookURL:
			return bad(fmt.Sprintf("targets[%d].url", i), "a URL has %d bytes; at most %d are allowed", len(t.URL), MaxWebhookURL)
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
			return bad(fmt.Sprintf("targets[%d].url", i), "the text is no URL of a webhook: want https://host/path")
		case u.User != nil || u.Fragment != "":
			return bad(fmt.Sprintf("targets[%d].url", i), "a webhook's URL has no user, no password and no fragment: its requests are signed instead")
		case !(t.Weight >= 0.001 && t.Weight <= 1000) || math.IsNaN(t.Weight):
			return bad(fmt.Sprintf("targets[%d].weight", i), "the weight is %v: want 0.001 to 1000", t.Weight)
		case slices.ContainsFunc(w.Targets[:i], func(o WebhookTarget) bool { return o.URL == t.URL }):
			return bad(fmt.Sprintf("targets[%d].url", i), "the URL is there twice: give it a weight instead")
		}
	}
	return nil
}
