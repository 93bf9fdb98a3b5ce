package fenfa

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Webhook says that a queue's tasks are pushed to URLs, each of which takes part in
// balancing as a worker does. In ConfigureQueue the zero value of a field means "as it
// is", or the default where the webhook is new.
type Webhook struct {
	Targets      []WebhookTarget // at most 64; they replace those that there were
	Secret       string          // signs requests, 16 to 256 bytes; never shown again
	Concurrency  int             // requests under way to each URL, default 16
	DeadStatuses []int           // answers of 400 to 499 after which a task is dead, default 410 and 422

	// SecretIDs tells the secrets apart that sign, the newest first. A new secret makes
	// the one before sign too, until it is forgotten. Only in answers.
	SecretIDs    []string
	ForgetFormer bool // in ConfigureQueue: drop the secret before the newest one
	Off          bool // in ConfigureQueue: no webhook any more
}

// WebhookTarget is one URL of a webhook.
type WebhookTarget struct {
	URL    string  // http or https
	Weight float64 // share of the load, 0.001 to 1000; default 1
}

func (w *Webhook) toWire() *fenfav1.Webhook {
	if w == nil {
		return nil
	}
	out := &fenfav1.Webhook{Secret: w.Secret, Concurrency: clampUint32(w.Concurrency), ForgetFormer: w.ForgetFormer, Off: w.Off}
	for _, t := range w.Targets {
		out.Targets = append(out.Targets, &fenfav1.WebhookTarget{Url: t.URL, Weight: t.Weight})
	}
	for _, status := range w.DeadStatuses {
		out.DeadStatuses = append(out.DeadStatuses, clampUint32(status))
	}
	return out
}

func webhookOf(w *fenfav1.Webhook) *Webhook {
	if w == nil {
		return nil
	}
	out := &Webhook{Concurrency: int(w.GetConcurrency()), SecretIDs: w.GetSecretIds()}
	for _, t := range w.GetTargets() {
		out.Targets = append(out.Targets, WebhookTarget{URL: t.GetUrl(), Weight: t.GetWeight()})
	}
	for _, status := range w.GetDeadStatuses() {
		out.DeadStatuses = append(out.DeadStatuses, int(status))
	}
	return out
}

// ErrWebhookSignature is in the errors of VerifyWebhook where a request was not made
// by a node that has one of the secrets, or is too old.
var ErrWebhookSignature = errors.New("the request is not signed by one of the secrets")

const (
	// webhookAge is how far the moment of a signature may be from now.
	webhookAge = 5 * time.Minute
	// maxWebhookBody bounds what VerifyWebhook reads: the largest task with its records,
	// in all of their forms.
	maxWebhookBody = 8 << 20
)

// VerifyWebhook reads the body of a webhook's request and checks that a node with one
// of the secrets has signed it in the last five minutes. The body can be read again
// afterwards. Whoever answers for a task that was pushed before is safe: the node
// takes an outcome once.
//
// The signature is the HMAC with SHA-256 of the header Fenfa-Timestamp, a dot, and the
// body, in hexadecimal behind "v1=" in the header Fenfa-Signature, which may have
// several, separated by commas.
func VerifyWebhook(r *http.Request, secrets ...string) (body []byte, err error) {
	if len(secrets) == 0 {
		return nil, errors.New("verify webhook: no secret is given")
	}
	body, err = io.ReadAll(io.LimitReader(r.Body, maxWebhookBody+1))
	if err != nil {
		return nil, fmt.Errorf("read request of webhook: %w", err)
	}
	if len(body) > maxWebhookBody {
		return nil, fmt.Errorf("read request of webhook: it has more than %d bytes", maxWebhookBody)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	at := r.Header.Get("Fenfa-Timestamp")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("verify webhook: the request has no Fenfa-Timestamp: %w", ErrWebhookSignature)
	}
	if age := time.Since(time.Unix(seconds, 0)); age > webhookAge || age < -webhookAge {
		return nil, fmt.Errorf("verify webhook: the request was signed %v ago: %w", age.Round(time.Second), ErrWebhookSignature)
	}
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(at + "."))
		mac.Write(body)
		want := mac.Sum(nil)
		for signature := range strings.SplitSeq(r.Header.Get("Fenfa-Signature"), ",") {
			text, ok := strings.CutPrefix(strings.TrimSpace(signature), "v1=")
			if got, err := hex.DecodeString(text); ok && err == nil && secret != "" && hmac.Equal(got, want) {
				return body, nil
			}
		}
	}
	return nil, fmt.Errorf("verify webhook: %w", ErrWebhookSignature)
}
