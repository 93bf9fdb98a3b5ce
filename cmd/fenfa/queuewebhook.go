package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

// hookFlags are the flags of a queue's webhook.
type hookFlags struct {
	urls        []string
	secretFile  string
	concurrency int
	dead        []int
	forget, off bool
}

// webhookFlags adds the flags of a webhook.
func webhookFlags(cmd *cobra.Command) *hookFlags {
	h := &hookFlags{}
	f := cmd.Flags()
	f.StringArrayVar(&h.urls, "webhook-url", nil, "push tasks to this URL; #weight=3 behind it gives it a weight. Given again: to these URLs")
	f.StringVar(&h.secretFile, "webhook-secret-file", "", "file with the secret that signs requests, 16 to 256 bytes; -: standard input")
	f.IntVar(&h.concurrency, "webhook-concurrency", 0, "requests under way to each URL (default of a new webhook: 16)")
	f.IntSliceVar(&h.dead, "webhook-dead-status", nil, "answers of 400 to 499 after which a task is dead (default of a new webhook: 410,422)")
	f.BoolVar(&h.forget, "webhook-forget-secret", false, "let the secret before the newest one sign no more")
	f.BoolVar(&h.off, "webhook-off", false, "push no tasks any more")
	return h
}

// apply puts into the change of a queue what was given.
func (h *hookFlags) apply(cmd *cobra.Command, q *fenfa.Queue) error {
	given := 0
	for _, name := range []string{"webhook-url", "webhook-secret-file", "webhook-concurrency", "webhook-dead-status", "webhook-forget-secret"} {
		if cmd.Flags().Changed(name) {
			given++
		}
	}
	if h.off {
		if given > 0 {
			return usagef("--webhook-off goes with no other flag of the webhook")
		}
		q.Webhook = &fenfa.Webhook{Off: true}
		return nil
	}
	if given == 0 {
		return nil
	}
	q.Webhook = &fenfa.Webhook{Concurrency: h.concurrency, DeadStatuses: h.dead, ForgetFormer: h.forget}
	for _, text := range h.urls {
		t := fenfa.WebhookTarget{URL: text}
		if url, weight, ok := strings.Cut(text, "#weight="); ok {
			number, err := strconv.ParseFloat(weight, 64)
			if err != nil || number <= 0 {
				return usagef("--webhook-url %s: the weight is %q: want a number above 0", url, weight)
			}
			t = fenfa.WebhookTarget{URL: url, Weight: number}
		}
		q.Webhook.Targets = append(q.Webhook.Targets, t)
	}
	if h.secretFile == "" {
		return nil
	}
	secret, err := readSecret(cmd.InOrStdin(), h.secretFile)
	if err != nil {
		return usagef("--webhook-secret-file: %v", err)
	}
	q.Webhook.Secret = secret
	return nil
}

// readSecret reads a secret, without the line end behind it.
func readSecret(stdin io.Reader, name string) (string, error) {
	const most = 4096
	in := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	b, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return "", err
	}
	if b = bytes.TrimRight(b, "\r\n"); len(b) == 0 {
		return "", fmt.Errorf("%s is empty", name)
	}
	return string(b), nil
}

// webhookText is a webhook for a person; - for none.
func webhookText(w *fenfa.Webhook) string {
	if w == nil {
		return "-"
	}
	texts := make([]string, len(w.Targets))
	for i, t := range w.Targets {
		texts[i] = fmt.Sprintf("%s (weight %v)", t.URL, t.Weight)
	}
	return fmt.Sprintf("%s; %d at a time each; signed by %s", strings.Join(texts, ", "), w.Concurrency, strings.Join(w.SecretIDs, " and "))
}

// webhookView is a webhook as JSON.
type webhookView struct {
	Targets      []webhookTargetView `json:"targets"`
	Concurrency  int                 `json:"concurrency"`
	DeadStatuses []int               `json:"dead_statuses"`
	SecretIDs    []string            `json:"secret_ids"`
}

type webhookTargetView struct {
	URL    string  `json:"url"`
	Weight float64 `json:"weight"`
}

func viewWebhook(w *fenfa.Webhook) *webhookView {
	if w == nil {
		return nil
	}
	v := &webhookView{Targets: []webhookTargetView{}, Concurrency: w.Concurrency, DeadStatuses: w.DeadStatuses, SecretIDs: w.SecretIDs}
	for _, t := range w.Targets {
		v.Targets = append(v.Targets, webhookTargetView(t))
	}
	return v
}
