package languages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
	"github.com/fenfa/fenfa/internal/openapi"
	"github.com/fenfa/fenfa/internal/openapi/compile"
)

// fuzzRounds is how often each operation is called; FENFA_FUZZ_HTTP sets another
// number.
const fuzzRounds = 25

// TestNoRequestBreaksTheNode makes requests from the OpenAPI document, right and
// wrong ones, and wants an answer to each that the document has, and never a defect.
func TestNoRequestBreaksTheNode(t *testing.T) {
	rounds := fuzzRounds
	if text := os.Getenv("FENFA_FUZZ_HTTP"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	seed := rand.Uint64()
	if text := os.Getenv("FENFA_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("to repeat: FENFA_SEED=%d", seed)
	n := fenfatest.Start(t, fenfatest.WithQueues("orders", "mail"))
	f := &fuzzer{t: t, url: "http://" + n.HTTPAddr(), rng: rand.New(rand.NewPCG(seed, 0)), web: &http.Client{Timeout: 2 * time.Minute}}
	defer f.web.CloseIdleConnections()
	if err := json.Unmarshal([]byte(openapi.Document()), &f.doc); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for path := range f.doc.Paths {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for range rounds {
		for _, path := range paths {
			for _, method := range []string{"get", "put", "post", "patch", "delete"} {
				if op := f.doc.Paths[path][method]; op != nil {
					f.call(method, path, op)
				}
			}
		}
	}
	if f.good == 0 || f.refused == 0 {
		t.Errorf("%d requests were good and %d refused: the fuzzer is too wild or too tame", f.good, f.refused)
	}
	if st := n.Await(t.Context(), f.submit(n.Client())); st.State != fenfa.StateDone {
		t.Errorf("afterwards a task is %+v", st)
	}
}

// fuzzer makes requests from the document.
type fuzzer struct {
	t             *testing.T
	url           string
	web           *http.Client
	doc           compile.Document
	rng           *rand.Rand
	good, refused int
	lease         string // of the task that is done afterwards
}

// submit submits a task to a queue of its own, and does it.
func (f *fuzzer) submit(c *fenfa.Client) fenfa.ID {
	f.t.Helper()
	if _, _, err := c.ConfigureQueue(f.t.Context(), fenfa.Queue{Name: "afterwards"}); err != nil {
		f.t.Fatal(err)
	}
	task := fenfa.NewTask("afterwards", 1)
	if _, err := c.Submit(f.t.Context(), task); err != nil {
		f.t.Fatal(err)
	}
	for _, call := range []struct{ path, body string }{
		{"/v1/leases", `{"worker_id":"afterwards","queues":["afterwards"],"wait":"60s"}`},
		{"/v1/leases/complete", `{"tasks":[{"lease":%q}]}`},
	} {
		req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.url+call.path, strings.NewReader(strings.Replace(call.body, "%q", strconv.Quote(f.lease), 1)))
		if err != nil {
			f.t.Fatal(err)
		}
		resp, err := f.web.Do(req)
		if err != nil {
			f.t.Fatal(err)
		}
		var leased struct{ Tasks []struct{ Lease string } }
		err = json.NewDecoder(resp.Body).Decode(&leased)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			f.t.Fatalf("%s: %d %v", call.path, resp.StatusCode, err)
		}
		if len(leased.Tasks) == 1 {
			f.lease = leased.Tasks[0].Lease
		}
	}
	return task.ID()
}

// call makes one request and judges the answer.
func (f *fuzzer) call(method, path string, op *compile.Operation) {
	f.t.Helper()
	wild := f.rng.IntN(3) == 0
	query := url.Values{}
	for _, p := range op.Parameters {
		switch {
		case p.In == "path":
			path = strings.Replace(path, "{"+p.Name+"}", url.PathEscape(f.text(p.Name, wild)), 1)
		case f.rng.IntN(2) == 0:
			query.Set(p.Name, fmt.Sprint(f.value(p.Name, p.Schema, wild, 0)))
		}
	}
	var body io.Reader
	var sent []byte
	if op.RequestBody != nil {
		var err error
		if sent, err = json.Marshal(f.value("", op.RequestBody.Content["application/json"].Schema, wild, 0)); err != nil {
			f.t.Fatal(err)
		}
		if f.rng.IntN(20) == 0 {
			sent = sent[:f.rng.IntN(len(sent)+1)]
		}
		body = bytes.NewReader(sent)
	}
	target := f.url + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(f.t.Context(), strings.ToUpper(method), target, body)
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, target, err)
	}
	resp, err := f.web.Do(req)
	if err != nil {
		f.t.Fatalf("%s %s %s: %v", method, target, sent, err)
	}
	defer func() { _ = resp.Body.Close() }()
	what := fmt.Sprintf("%s %s %s: %d", method, target, sent[:min(len(sent), 2000)], resp.StatusCode)
	if op.Responses[strconv.Itoa(resp.StatusCode)] == nil && resp.StatusCode != http.StatusMethodNotAllowed {
		f.t.Errorf("%s: the document has no such status", what)
	}
	if resp.StatusCode == http.StatusOK {
		f.good++
		return // A stream may go on for ever.
	}
	f.refused++
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		f.t.Fatalf("%s: %v", what, err)
	}
	var refusal struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal(answer, &refusal); err != nil || refusal.Error.Code == "" || refusal.Error.Message == "" {
		f.t.Errorf("%s: %s is not the form of an error", what, answer)
	}
	if resp.StatusCode == http.StatusInternalServerError || resp.StatusCode > 500 && resp.StatusCode != http.StatusServiceUnavailable && resp.StatusCode != http.StatusNotImplemented {
		f.t.Errorf("%s %s", what, answer)
	}
}

// value makes a value of a schema; a wild one may be anything.
func (f *fuzzer) value(name string, s *compile.Schema, wild bool, depth int) any {
	const deepest = 6
	if wild && f.rng.IntN(12) == 0 {
		return []any{nil, true, -1, 1e300, "", "\x00", "💥", []any{}, map[string]any{"x": 1}, strings.Repeat("a", 5000), "9223372036854775808", json.Number("12345678901234567890")}[f.rng.IntN(12)]
	}
	for s.Ref != "" || len(s.AllOf) == 1 {
		if s.Ref == "" {
			s = s.AllOf[0]
			continue
		}
		s = f.doc.Components.Schemas[s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]]
	}
	switch {
	case len(s.Enum) > 0:
		return s.Enum[f.rng.IntN(len(s.Enum))]
	case s.Type == "boolean":
		return f.rng.IntN(2) == 0
	case s.Type == "integer":
		return []any{0, 1, 2, 100, 1000}[f.rng.IntN(5)]
	case s.Type == "number":
		return []any{0, 0.5, 1, 3.75}[f.rng.IntN(4)]
	case s.Type == "array":
		list := make([]any, 0, 3)
		for range f.rng.IntN(4) {
			list = append(list, f.value(name, s.Items, wild, depth+1))
		}
		return list
	case s.Type == "object" && depth < deepest:
		return f.object(s, wild, depth)
	case s.Type == "object":
		return map[string]any{}
	case s.Pattern != "" && strings.HasSuffix(s.Pattern, "s$"):
		return []any{"0s", "0.05s", "0.1s"}[f.rng.IntN(3)] // Waits are short.
	case s.Pattern != "":
		return []any{"0", "1", "7"}[f.rng.IntN(3)]
	case s.Format == "date-time":
		return []any{"2030-01-02T03:04:05Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"}[f.rng.IntN(3)]
	case s.Format == "byte":
		return []any{"", "e30=", "/w=="}[f.rng.IntN(3)]
	case s.Type == "string":
		return f.text(name, wild)
	default:
		return []any{nil, 1, "x", map[string]any{"a": []int{1}}}[f.rng.IntN(4)]
	}
}

// object fills some of the properties.
func (f *fuzzer) object(s *compile.Schema, wild bool, depth int) any {
	o := map[string]any{}
	var names []string
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if p := s.Properties[name]; !p.ReadOnly && f.rng.IntN(3) > 0 {
			o[name] = f.value(name, p, wild, depth+1)
		}
	}
	// Of the forms of bytes there is one.
	for _, name := range names {
		if o[name+"_json"] != nil || o[name+"_text"] != nil {
			delete(o, name)
		}
		if o[name+"_json"] != nil {
			delete(o, name+"_text")
		}
	}
	if wild && f.rng.IntN(6) == 0 {
		o["unknown"] = 1
	}
	return o
}

// text is a string that may mean something under its name.
func (f *fuzzer) text(name string, wild bool) string {
	if wild {
		return []string{"", "..", "a/b", "%", "\x00", "分发", strings.Repeat("x", 600), "fenfa.x", "' OR 1=1", "{}", "?a=b#c"}[f.rng.IntN(11)]
	}
	switch name {
	case "id", "task_id":
		return "0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f0" + strconv.Itoa(f.rng.IntN(8))
	case "queue", "queues":
		return []string{"orders", "mail"}[f.rng.IntN(2)]
	case "order":
		return []string{"key", "none"}[f.rng.IntN(2)]
	case "worker_id", "holder":
		return []string{"w1", "w2"}[f.rng.IntN(2)]
	case "url":
		return "http://127.0.0.1:1/"
	}
	return []string{"orders", "a", "b", "SKU-1"}[f.rng.IntN(4)]
}
