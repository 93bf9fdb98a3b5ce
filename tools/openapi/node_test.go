package openapi_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// startNode runs the node of the tree, or FENFA_BINARY, until the test ends, and
// returns the address of its HTTP API.
func startNode(t *testing.T) string {
	t.Helper()
	binary := os.Getenv("FENFA_BINARY")
	if binary == "" {
		binary = filepath.Join(t.TempDir(), "fenfa")
		build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/fenfa")
		build.Dir = "../.."
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build node: %v\n%s", err, out)
		}
	}
	node := exec.Command(binary, "serve", "--data-dir", filepath.Join(t.TempDir(), "data"), //nolint:noctx // It is ended below.
		"--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--log-format", "json")
	log, err := node.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if _, err := io.Copy(io.Discard, log); err != nil {
			t.Error(err)
		}
		if err := node.Wait(); err != nil {
			t.Errorf("node: %v", err)
		}
	})
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var line struct{ Msg, HTTP string }
		if err := json.Unmarshal(lines.Bytes(), &line); err == nil && line.Msg == "node ready" {
			return "http://" + line.HTTP
		}
		t.Log(lines.Text())
	}
	t.Fatalf("the node did not start: %v", lines.Err())
	return ""
}

// judged sends requests, and refuses answers that are not as the document says.
type judged struct {
	router routers.Router
	seen   map[string]int // answers by operation and status
}

func newJudged(t *testing.T, doc *openapi3.T, url string) *judged {
	t.Helper()
	doc.Servers = openapi3.Servers{{URL: url}}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &judged{router: router, seen: map[string]int{}}
}

// Do implements the doer of the generated client.
func (j *judged) Do(req *http.Request) (*http.Response, error) {
	route, path, err := j.router.FindRoute(req)
	if err != nil {
		return nil, fmt.Errorf("the document has no %s %s: %w", req.Method, req.URL, err)
	}
	asked := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: path, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if err := openapi3filter.ValidateRequest(req.Context(), asked); err != nil {
		return nil, fmt.Errorf("the document refuses the request: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if err := resp.Body.Close(); err != nil {
		return nil, err
	}
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: asked, Status: resp.StatusCode, Header: resp.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	answer.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(req.Context(), answer); err != nil {
		return nil, fmt.Errorf("the document refuses the answer %s: %w", body, err)
	}
	j.seen[fmt.Sprintf("%s %d", route.Operation.OperationID, resp.StatusCode)]++
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}
