package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

func TestFlagsOfAWebhook(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args  []string
		stdin string
		check func(w *fenfa.Webhook) bool
	}{
		"nothing":  {nil, "", func(w *fenfa.Webhook) bool { return w == nil }},
		"off":      {[]string{"--webhook-off"}, "", func(w *fenfa.Webhook) bool { return w.Off }},
		"a secret": {[]string{"--webhook-secret-file", file}, "", func(w *fenfa.Webhook) bool { return w.Secret == "from a file" && w.Targets == nil }},
		"two URLs": {
			[]string{"--webhook-url", "https://a/x", "--webhook-url", "https://b/?y=1,2#weight=2.5", "--webhook-secret-file", "-"},
			"typed\r\n",
			func(w *fenfa.Webhook) bool {
				return w.Secret == "typed" && len(w.Targets) == 2 && w.Targets[0] == fenfa.WebhookTarget{URL: "https://a/x"} &&
					w.Targets[1] == fenfa.WebhookTarget{URL: "https://b/?y=1,2", Weight: 2.5}
			},
		},
		"the rest": {
			[]string{"--webhook-concurrency", "3", "--webhook-dead-status", "404,410", "--webhook-forget-secret"},
			"",
			func(w *fenfa.Webhook) bool {
				return w.Concurrency == 3 && len(w.DeadStatuses) == 2 && w.DeadStatuses[1] == 410 && w.ForgetFormer
			},
		},
	} {
		var q fenfa.Queue
		if err := applied(t, &q, c.stdin, c.args...); err != nil || !c.check(q.Webhook) {
			t.Errorf("%s: %+v %v", name, q.Webhook, err)
		}
	}
	for _, args := range [][]string{
		{"--webhook-off", "--webhook-concurrency", "1"},
		{"--webhook-url", "https://a#weight=heavy"},
		{"--webhook-url", "https://a#weight=-1"},
		{"--webhook-secret-file", filepath.Join(t.TempDir(), "none")},
		{"--webhook-secret-file", "-"},
	} {
		if err := applied(t, &fenfa.Queue{}, "\n", args...); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
}

// applied reads the flags.
func applied(t *testing.T, q *fenfa.Queue, stdin string, args ...string) error {
	t.Helper()
	cmd := &cobra.Command{}
	h := webhookFlags(cmd)
	cmd.SetIn(bytes.NewBufferString(stdin))
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return h.apply(cmd, q)
}
