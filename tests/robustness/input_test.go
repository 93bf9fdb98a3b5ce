package robustness

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// command runs one command of the binary against the node and returns its exit
// code and what it complained of.
func (n *node) command(args ...string) (code int, said string) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), "FENFA_ADDR="+n.grpc)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	_ = cmd.Run() // The exit code says it.
	if ctx.Err() != nil {
		n.t.Fatalf("fenfa %s did not end", strings.Join(args, " "))
	}
	return cmd.ProcessState.ExitCode(), stderr.String()
}

// file writes a file for a command.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBadInputIsRefusedWithAReason gives commands what they cannot take: each
// ends with its documented exit code and a reason, and nothing of it stays.
func TestBadInputIsRefusedWithAReason(t *testing.T) {
	n := newNode(t, t.TempDir())
	n.start()
	configure(t, n.dial())
	large := file(t, "large.ndjson", `{"pad":"`+strings.Repeat("x", 1<<20)+`"}`+"\n")
	malformed := file(t, "orders.csv", "SKU,Qty\na,1\nb,2,3\nc,4\n")
	if code, said := n.command("state", "put", "sku", "stock", "1", "--new"); code != 0 {
		t.Fatalf("state put: exit code %d: %s", code, said)
	}
	for name, tc := range map[string]struct {
		args []string
		code int
		says string
	}{
		"an unknown queue":            {[]string{"submit", "--queue", "nobody", "{}"}, exitNotFound, "nobody"},
		"a queue name with a space":   {[]string{"queue", "set", "a b"}, exitRefused, "a b"},
		"an unknown setting":          {[]string{"queue", "set", orders, "--ordr", "key"}, exitUsage, "--order"},
		"an unknown value":            {[]string{"queue", "set", orders, "--order", "fifo"}, exitUsage, "fifo"},
		"a payload that is too large": {[]string{"submit", "--queue", orders, "--file", large}, exitRefused, "payload"},
		"a malformed row":             {[]string{"submit", "--queue", orders, "--file", malformed, "--key-column", "SKU"}, exitRefused, "3"},
		"a column that is not there":  {[]string{"submit", "--queue", orders, "--file", malformed, "--key-column", "Sku"}, exitRefused, "SKU"},
		"a wrong version":             {[]string{"state", "put", "sku", "stock", "2", "--version", "999999"}, exitRefused, "version"},
		"a record that exists":        {[]string{"state", "put", "sku", "stock", "2", "--new"}, exitRefused, "version"},
		"an unknown task":             {[]string{"task", "get", "0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01"}, exitNotFound, "0190a5f2"},
		"an id that is none":          {[]string{"task", "get", "42"}, exitRefused, "42"},
		"a file that is not there":    {[]string{"submit", "--queue", orders, "--file", "/nowhere.csv"}, exitUsage, "/nowhere.csv"},
		"an unknown command":          {[]string{"sumbit"}, exitUsage, "submit"},
	} {
		t.Run(name, func(t *testing.T) {
			code, said := n.command(tc.args...)
			if code != tc.code || !strings.Contains(said, tc.says) {
				t.Errorf("exit code %d, want %d; it says %q, want something about %q", code, tc.code, said, tc.says)
			}
			noStackTrace(t, said)
		})
	}
}

// TestAMalformedRowCostsOneRowWhereTheFlagSaysSo submits a file with a bad row
// in the middle, and then the same file again.
func TestAMalformedRowCostsOneRowWhereTheFlagSaysSo(t *testing.T) {
	n := newNode(t, t.TempDir())
	n.start()
	client := n.dial()
	configure(t, client)
	rows := file(t, "orders.csv", "SKU,Qty\na,1\nb,2,3\nc,4\n")
	for range 2 {
		code, said := n.command("submit", "--queue", orders, "--file", rows, "--key-column", "SKU", "--on-error", "skip")
		if code != exitRefused || !strings.Contains(said, "line 3") {
			t.Errorf("exit code %d, want %d; it says %q, want the number of the line", code, exitRefused, said)
		}
		info, err := client.DescribeQueue(t.Context(), orders)
		if err != nil {
			t.Fatal(err)
		}
		if info.Stats.BacklogTasks != 2 {
			t.Errorf("the backlog is %d tasks, want the 2 good rows, once", info.Stats.BacklogTasks)
		}
	}
}

// TestHTTPRefusesWhatItCannotTake sends what no client of ours would send.
func TestHTTPRefusesWhatItCannotTake(t *testing.T) {
	n := newNode(t, t.TempDir())
	n.start()
	configure(t, n.dial())
	for name, tc := range map[string]struct {
		method, path string
		body         io.Reader
		status       int
		says         string
	}{
		"an unknown field":   {http.MethodPost, "/v1/tasks", strings.NewReader(`{"tasks":[{"queue":"orders","payloud":"e30="}]}`), http.StatusBadRequest, "payloud"},
		"no JSON":            {http.MethodPost, "/v1/tasks", strings.NewReader(`{"tasks":`), http.StatusBadRequest, "invalid_argument"},
		"an endless body":    {http.MethodPost, "/v1/tasks", io.MultiReader(strings.NewReader(`{"tasks":[{"queue":"`), io.LimitReader(letters{}, 1<<30)), http.StatusRequestEntityTooLarge, "too_large"},
		"an unknown task":    {http.MethodGet, "/v1/tasks/0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01", http.NoBody, http.StatusNotFound, "not_found"},
		"an id that is none": {http.MethodGet, "/v1/tasks/42", http.NoBody, http.StatusBadRequest, "invalid_argument"},
		"an unknown path":    {http.MethodGet, "/v2/tasks", http.NoBody, http.StatusNotFound, "not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), tc.method, "http://"+n.http+tc.path, tc.body)
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != tc.status || !strings.Contains(string(body), tc.says) || !strings.Contains(string(body), `"error"`) {
				t.Errorf("status %d, want %d; it says %s, want something about %q", response.StatusCode, tc.status, body, tc.says)
			}
		})
	}
}

// letters is an endless reader of one letter.
type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
