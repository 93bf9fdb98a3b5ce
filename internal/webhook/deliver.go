package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Bounds of answers.
const (
	maxAnswer     = 4 << 20
	maxErrorText  = 300 // bytes of an answer that an error shows
	maxRetryAfter = 24 * time.Hour
)

// deliver sends a task and turns the answer into an outcome. answered says that
// there was somebody.
func (t *target) deliver(ctx context.Context, it *item) (o task.Outcome, answered bool) {
	began := t.hooks.cfg.Clock.Now()
	status, header, body, err := t.send(ctx, it)
	if away, ok := errors.AsType[*awayError](err); ok {
		t.gone(away.cause)
		t.hooks.metrics.count(t.hook.queue, "away")
		return task.Outcome{Kind: task.OutcomeReturned}, false
	}
	t.hooks.metrics.seconds.WithLabelValues(t.hook.queue).Observe(t.hooks.cfg.Clock.Now().Sub(began).Seconds())
	if err != nil {
		o = retry(err.Error())
	} else {
		o = t.outcomeOf(status, header, body)
	}
	t.hooks.metrics.count(t.hook.queue, o.Kind.String())
	return o, true
}

// awayError says that no connection came about.
type awayError struct{ cause error }

// Error implements error.
func (e *awayError) Error() string { return e.cause.Error() }

// send makes the request.
func (t *target) send(ctx context.Context, it *item) (status int, header http.Header, body []byte, err error) {
	sent, err := t.hooks.cfg.Form.Request(&it.leased, it.timeout, it.records, it.complete)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("write request of webhook: %w", err)
	}
	var connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req, err := http.NewRequestWithContext(traced, http.MethodPost, t.url, bytes.NewReader(sent))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("make request of webhook: %w", err)
	}
	t.dress(req, it, sent)
	resp, err := t.hooks.client.Do(req)
	switch {
	case err != nil && !connected.Load() && ctx.Err() == nil:
		if with, ok := errors.AsType[*url.Error](err); ok {
			err = with.Err // The URL may have a secret in its query.
		}
		return 0, nil, nil, &awayError{err}
	case err != nil:
		return 0, nil, nil, t.failed(ctx, it, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return 0, nil, nil, t.failed(ctx, it, err)
	case len(body) > maxAnswer:
		return 0, nil, nil, fmt.Errorf("the answer of the webhook %s has more than %d bytes", shown(t.url), maxAnswer)
	}
	return resp.StatusCode, resp.Header, body, nil
}

// failed says why there is no answer, without the URL's query.
func (t *target) failed(ctx context.Context, it *item, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("the webhook %s did not answer within %v", shown(t.url), it.timeout)
	case ctx.Err() != nil:
		return errors.New("the request was cancelled")
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return fmt.Errorf("the webhook %s did not answer: %w", shown(t.url), err)
}

// dress sets the headers, with the signature.
func (t *target) dress(req *http.Request, it *item, body []byte) {
	w := t.hook.settings.Load()
	at := strconv.FormatInt(t.hooks.cfg.Clock.Now().Unix(), 10)
	signatures := []string{"v1=" + sign(w.Secret, at, body)}
	if w.Former != "" {
		signatures = append(signatures, "v1="+sign(w.Former, at, body))
	}
	id := it.leased.ID.String()
	for name, value := range map[string]string{
		"Content-Type": "application/json", "User-Agent": t.hooks.cfg.Agent,
		"Fenfa-Timestamp": at, "Fenfa-Signature": strings.Join(signatures, ","),
		"Fenfa-Task-Id": id, "Fenfa-Queue": t.hook.queue,
		"Fenfa-Attempt": strconv.Itoa(it.leased.Attempt), "Fenfa-Delivery": strconv.Itoa(it.leased.Delivery),
		// With it the client may repeat the request on another connection when the one
		// that it had kept turns out to be closed.
		"Idempotency-Key": id,
	} {
		req.Header.Set(name, value)
	}
}

// sign is the signature of a body: HMAC with SHA-256 (RFC 2104) over the moment, a
// dot, and the body, in hexadecimal.
func sign(secret task.Secret, at string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(string(secret)))
	_, _ = io.WriteString(mac, at+".") // A hash takes everything.
	_, _ = mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// outcomeOf reads an answer.
func (t *target) outcomeOf(status int, header http.Header, body []byte) task.Outcome {
	text := fmt.Sprintf("the webhook %s answered %d %s", shown(t.url), status, http.StatusText(status))
	switch {
	case status >= 200 && status <= 299:
		return t.success(header, body)
	case status >= 300 && status <= 399:
		return retry(text + ", and redirects are not followed: configure the URL that it leads to")
	}
	if said := strings.TrimSpace(string(body[:min(len(body), maxErrorText)])); said != "" {
		text += ": " + strings.ToValidUTF8(said, "")
	}
	if slices.Contains(t.hook.settings.Load().DeadStatuses, status) {
		return task.Outcome{Kind: task.OutcomeDead, Error: text}
	}
	o := retry(text)
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		o.RetryAfter = t.retryAfter(header.Get("Retry-After"))
	}
	return o
}

// success reads an answer that says that the task is done, or what else of it.
func (t *target) success(header http.Header, body []byte) task.Outcome {
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if len(bytes.TrimSpace(body)) == 0 || err != nil || kind != "application/json" {
		return task.Outcome{Kind: task.OutcomeDone}
	}
	o, err := t.hooks.cfg.Form.Outcome(body)
	if err != nil {
		return retry(fmt.Sprintf("the answer of the webhook %s is not understood: %v", shown(t.url), err))
	}
	return o
}

func retry(text string) task.Outcome {
	return task.Outcome{Kind: task.OutcomeRetry, Error: text, RetryAfter: -1}
}

// retryAfter reads the header of that name, in seconds or as a moment; negative:
// the policy says when.
func (t *target) retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(0, at.Sub(t.hooks.cfg.Clock.Now())), maxRetryAfter)
	}
	return -1
}
