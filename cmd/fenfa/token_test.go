package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTokensFromTheCommandLine starts a node that asks for tokens, makes the first
// one with the root token, and follows it to its end.
func TestTokensFromTheCommandLine(t *testing.T) {
	dir := t.TempDir()
	root, ci := filepath.Join(dir, "root.token"), filepath.Join(dir, "ci.token")
	if code, _, stderr := process(t, "", "token", "generate", root); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if code, _, stderr := process(t, "", "token", "generate", root); code != exitRefused || !strings.Contains(stderr, "nothing was written") {
		t.Errorf("a token was overwritten: %d, %s", code, stderr)
	}
	if info, err := os.Stat(root); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	t.Setenv("FENFA_AUTH_REQUIRED", "true")
	t.Setenv("FENFA_AUTH_ROOT_TOKEN_FILE", root)
	n := serveNode(t, dir)

	code, _, stderr := n.run(t, "queue", "set", "orders")
	if code != exitRefused || !strings.Contains(stderr, "a token is needed") || !strings.Contains(stderr, "--token-file") {
		t.Errorf("without a token: %d, %s", code, stderr)
	}
	n.ok(t, &struct{}{}, "queue", "set", "orders", "--token-file", root)
	var made tokenView
	n.ok(t, &made, "token", "create", "--name", "ci", "--scope", "orders:submit,read", "--expires", "24h", "--tasks-rate", "1000", "--token-file", root)
	if made.Secret == "" || made.ExpiresAt == "" || made.CreatedBy != "root" || made.Tasks != 1000 {
		t.Errorf("made %+v", made)
	}
	t.Setenv(envToken, made.Secret)
	n.ok(t, &struct{}{}, "queue", "describe", "orders")
	if code, _, stderr := n.run(t, "queue", "set", "mail"); code != exitRefused || !strings.Contains(stderr, "mail:manage") {
		t.Errorf("without the scope: %d, %s", code, stderr)
	}
	if code, _, stderr := n.run(t, "task", "list"); code != exitRefused || !strings.Contains(stderr, "*:read") {
		t.Errorf("tasks of all queues: %d, %s", code, stderr)
	}
	if code, _, stderr := n.run(t, "token", "create", "--name", "never", "--scope", "*:read", "--expires", "0s", "--token-file", root); code != exitUsage || !strings.Contains(stderr, "--expires") {
		t.Errorf("a token that ends at once: %d, %s", code, stderr)
	}
	if code, _, stderr := n.run(t, "token", "list"); code != exitRefused || !strings.Contains(stderr, "*:admin") {
		t.Errorf("tokens for everybody: %d, %s", code, stderr)
	}
	if status := get(t, "http://"+n.http+"/metrics"); status != http.StatusUnauthorized {
		t.Errorf("metrics for everybody: %d", status)
	}
	t.Setenv(envToken, "")

	code, stdout, stderr := n.run(t, "token", "rotate", "ci", "--grace", "0", "--out", ci, "--token-file", root)
	if code != exitOK || strings.Contains(stdout, "fenfa_") {
		t.Errorf("rotate: %d, %s %s", code, stdout, stderr)
	}
	n.ok(t, &struct{}{}, "queue", "describe", "orders", "--token-file", ci)
	t.Setenv(envToken, made.Secret)
	if code, _, stderr := n.run(t, "queue", "list"); code != exitRefused || !strings.Contains(stderr, "rotated") {
		t.Errorf("the secret before: %d, %s", code, stderr)
	}
	if code, _, stderr := n.run(t, "submit", "--queue", "orders", "{}"); code != exitRefused || !strings.Contains(stderr, "rotated") {
		t.Errorf("a submit with the secret before: %d, %s", code, stderr)
	}
	t.Setenv(envToken, "")
	var list struct{ Tokens []tokenView }
	n.ok(t, &list, "token", "list", "--token-file", root)
	if len(list.Tokens) != 1 || list.Tokens[0].Secret != "" || list.Tokens[0].LastUsedAt == "" || list.Tokens[0].RotatedAt == "" {
		t.Errorf("listed %+v", list)
	}
	n.ok(t, &struct{}{}, "token", "revoke", "ci", "--token-file", root)
	if code, _, stderr := n.run(t, "queue", "list", "--token-file", ci); code != exitRefused || !strings.Contains(stderr, "revoked") {
		t.Errorf("a revoked token: %d, %s", code, stderr)
	}
	if code, _, _ := n.run(t, "token", "show", "ci", "--token-file", root); code != exitNotFound {
		t.Errorf("show: exit code %d", code)
	}
	if said := n.said(t); strings.Contains(said, made.Secret) {
		t.Error("a secret is in the log")
	}
}
