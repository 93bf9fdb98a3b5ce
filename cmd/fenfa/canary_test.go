package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/certs/certstest"
)

// canaries gathers all that was written, and knows what must not be in it.
type canaries struct {
	secrets map[string]string // by what they are
	said    strings.Builder
}

func (c *canaries) hear(texts ...string) {
	for _, text := range texts {
		c.said.WriteString(text + "\n")
	}
}

func (c *canaries) check(t *testing.T) {
	t.Helper()
	said := c.said.String()
	for what, secret := range c.secrets {
		if i := strings.Index(said, secret); i >= 0 {
			t.Errorf("%s shows: …%s…", what, said[max(0, i-200):min(len(said), i+len(secret)+50)])
		}
	}
	if len(said) < 10_000 {
		t.Errorf("only %d bytes were heard", len(said))
	}
}

// bits is the part of a token that is secret.
func bits(token string) string { return token[strings.LastIndex(token, "_")+1:] }

// TestSecretsShowNowhere runs a node with secrets in every place that may hold one,
// through good and bad ways, and looks for them in all that it says.
func TestSecretsShowNowhere(t *testing.T) {
	dir := t.TempDir()
	c := &canaries{secrets: map[string]string{"the broker's password": "br0kerpass", "the store's password": "st0repass", "a header of a task": "hdr5ecret", "a payload": "payl0ad5ecret"}}
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	_, root := access.Generate()
	_, wrong := access.Generate()
	c.secrets["the root token"], c.secrets["a wrong token"] = bits(root.Reveal()), bits(wrong.Reveal())
	rootFile, wrongFile := file("root", root.Reveal()), file("wrong", wrong.Reveal())
	pair := certstest.New(t).Pair()
	key, err := os.ReadFile(pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	c.secrets["the key of the certificate"] = strings.Split(string(key), "\n")[1]

	// Ways that end before there is a node.
	for _, args := range [][]string{
		{"serve", "--print-config"},
		{"serve", "--data-dir", filepath.Join(dir, "a"), "--broker-timeout", "3s", "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"},
		{"serve", "--partitions", "0"},
	} {
		t.Setenv("FENFA_BROKER_URL", "amqp://fenfa:br0kerpass@127.0.0.1:1/v")
		t.Setenv("FENFA_STORE_URL", "mysql://fenfa:st0repass@127.0.0.1:1/d")
		_, stdout, stderr := process(t, "", args...)
		c.hear(stdout, stderr)
	}
	for _, url := range []string{"amqp:br0kerpass", "fenfa:br0kerpass@a", "http://fenfa:br0kerpass@a", "amqp://fenfa:br0kerpass@:x/"} {
		t.Setenv("FENFA_BROKER_URL", url)
		_, stdout, stderr := process(t, "", "serve", "--data-dir", filepath.Join(dir, "b"), "--broker-timeout", "3s", "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0")
		c.hear(stdout, stderr)
	}
	t.Setenv("FENFA_BROKER_URL", "")
	t.Setenv("FENFA_STORE_URL", "")
	_, stdout, stderr := process(t, "", "serve", "--data-dir", filepath.Join(dir, "c"), "--auth-required", "--auth-root-token-file", pair.Key)
	c.hear(stdout, stderr)
	_, stdout, stderr = process(t, "", "serve", "--data-dir", filepath.Join(dir, "c"), "--grpc-tls-cert", pair.Key, "--grpc-tls-key", rootFile)
	c.hear(stdout, stderr)

	t.Setenv("FENFA_AUTH_REQUIRED", "true")
	t.Setenv("FENFA_AUTH_ROOT_TOKEN_FILE", rootFile)
	t.Setenv("FENFA_LOG_LEVEL", "debug")
	n := serveNode(t, filepath.Join(dir, "node"))
	run := func(tokenFile string, args ...string) {
		_, stdout, stderr := n.run(t, append(args, "--token-file", tokenFile)...)
		c.hear(stdout, stderr)
	}
	ci := filepath.Join(dir, "ci")
	run(rootFile, "queue", "set", "orders")
	run(rootFile, "token", "create", "--name", "ci", "--scope", "orders:submit,read", "--out", ci)
	made, err := os.ReadFile(ci)
	if err != nil {
		t.Fatal(err)
	}
	c.secrets["a token"] = bits(strings.TrimSpace(string(made)))
	for _, queue := range []string{"orders", "mail"} {
		run(ci, "submit", "--queue", queue, "payl0ad5ecret")
		task := `{"tasks":[{"queue":"` + queue + `","payload_text":"payl0ad5ecret","headers":{"x":"hdr5ecret"}}]}`
		c.hear(answer(t, http.MethodPost, "http://"+n.http+"/v1/tasks", string(made), task))
	}
	for _, args := range [][]string{{"queue", "list"}, {"token", "list", "--json"}, {"token", "show", "ci"}, {"activity", "list", "--json"}, {"state", "scan"}, {"cluster", "health", "--json"}} {
		run(rootFile, args...)
		run(ci, args...)
		run(wrongFile, args...)
	}
	hook := `{"webhook":{"targets":[{"url":"https://hooks.example.org/a"}],"secret":"h00k5ecret-0123456789"}}`
	c.secrets["a webhook's secret"] = "h00k5ecret-0123456789"
	hooked := answer(t, http.MethodPut, "http://"+n.http+"/v1/queues/hooks", root.Reveal(), hook)
	if !strings.Contains(hooked, "hooks.example.org") {
		t.Errorf("the webhook was not made: %s", hooked)
	}
	c.hear(hooked, answer(t, http.MethodPut, "http://"+n.http+"/v1/queues/hooks", root.Reveal(), strings.Replace(hook, "https", "gopher", 1)))
	run(rootFile, "queue", "describe", "hooks", "--json")
	run(rootFile, "activity", "list", "--json")
	run(rootFile, "token", "rotate", "ci", "--grace", "0", "--out", ci)
	for _, token := range []string{root.Reveal(), wrong.Reveal(), "Basic " + wrong.Reveal()} {
		for _, path := range []string{"/metrics", "/readyz", "/v1/tokens", "/v1/activity", "/v1/queues", "/v1/health", "/v1/records", "/v1/nothing"} {
			c.hear(answer(t, http.MethodGet, "http://"+n.http+path, token, ""))
		}
	}
	c.hear(n.said(t))
	if !strings.Contains(c.said.String(), `"duplicate":false`) || !strings.Contains(c.said.String(), "mail:submit") {
		t.Error("no task was taken, or none refused")
	}
	if !strings.Contains(c.said.String(), "TokenService.Create") || !strings.Contains(c.said.String(), "fenfa_access_refused_total") {
		t.Error("activity and metrics were not heard")
	}
	c.check(t)
}

// answer is what an address says to a token.
func answer(t *testing.T, method, url, token, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
