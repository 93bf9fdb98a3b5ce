package server

import (
	"encoding/json"
	"iter"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/openapi/compile"
	"github.com/fenfa/fenfa/internal/task"
)

// servedDocument is the document that a node serves.
func servedDocument(t *testing.T, h *harness) *compile.Document {
	t.Helper()
	r := h.do(t, http.MethodGet, "/openapi.json", nil)
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/json" {
		t.Fatalf("/openapi.json: %d %v", r.status, r.header)
	}
	var doc compile.Document
	if err := json.Unmarshal([]byte(r.body), &doc); err != nil {
		t.Fatal(err)
	}
	return &doc
}

// inBraces is a parameter of a path.
var inBraces = regexp.MustCompile(`\{[^}]+\}`)

// sample is a value of a parameter as the document describes it.
func sample(p *compile.Parameter) string {
	switch {
	case p.Schema.Type == "boolean":
		return "true"
	case p.Schema.Pattern != "" && strings.HasSuffix(p.Schema.Pattern, "s$"):
		return "1s"
	case p.Schema.Format == "date-time":
		return "2030-01-02T03:04:05Z"
	case p.Schema.Type == "string" && p.Schema.Pattern == "", p.Schema.Ref != "":
		return "x"
	default:
		return "1"
	}
}

func TestEveryOperationOfTheDocumentIsServed(t *testing.T) {
	h := newHarness(t)
	for path, methods := range servedDocument(t, h).Paths {
		for method, op := range methods {
			r := h.do(t, strings.ToUpper(method), inBraces.ReplaceAllString(path, "x"), strings.NewReader("{"))
			if strings.Contains(r.fail.Message, "there is no route") || r.status == http.StatusMethodNotAllowed {
				t.Errorf("%s %s is not served: %s", method, path, r.body)
			}
			for _, p := range op.Parameters {
				if p.In != "query" {
					continue
				}
				r := h.do(t, strings.ToUpper(method), inBraces.ReplaceAllString(path, "x")+"?"+p.Name+"="+sample(&p), nil)
				if strings.Contains(r.fail.Message, "unknown query parameter") {
					t.Errorf("%s %s does not take %s: strictQuery has no line for it: %s", method, path, p.Name, r.body)
				}
			}
		}
	}
}

func TestEveryRouteIsInTheDocument(t *testing.T) {
	h := newHarness(t)
	doc := servedDocument(t, h)
	type call struct{ path, method string }
	calls := map[call]bool{}
	for path, methods := range doc.Paths {
		for method := range methods {
			calls[call{inBraces.ReplaceAllString(path, "*"), method}] = true
		}
	}
	for _, name := range []string{"gateway.yaml", "streams.yaml"} {
		file, err := os.ReadFile("../../api/" + name)
		if err != nil {
			t.Fatal(err)
		}
		routes, err := compile.ReadRoutes(file, false)
		if err != nil || len(routes) == 0 {
			t.Fatalf("%s: %d routes: %v", name, len(routes), err)
		}
		for _, r := range routes {
			if !calls[call{inBraces.ReplaceAllString(r.Path, "*"), r.Method}] {
				t.Errorf("%s %s of %s is not in the document: run make generate", r.Method, r.Path, name)
			}
		}
	}
	for _, page := range []string{"/healthz", "/readyz", "/metrics", "/openapi.json"} {
		if doc.Paths[page] == nil {
			t.Errorf("%s is not in the document", page)
		}
	}
}

func TestEveryStatusOfErrorsIsInTheDocument(t *testing.T) {
	h := newHarness(t)
	for path, methods := range servedDocument(t, h).Paths {
		if !strings.HasPrefix(path, "/v1/") {
			continue
		}
		for method, op := range methods {
			statuses := slices.Sorted(maps.Keys(op.Responses))
			for c := range outwardStatuses() {
				if !slices.Contains(statuses, c) {
					t.Errorf("%s %s: status %s is not among %v", method, path, c, statuses)
				}
			}
		}
	}
}

func TestTheDocumentNamesTheCodesOfErrors(t *testing.T) {
	h := newHarness(t)
	names := servedDocument(t, h).Components.Schemas["ErrorDetail"].Properties["code"].Enum
	for c := range allCodes() {
		if !slices.Contains(names, c.String()) {
			t.Errorf("code %s is not among %v", c, names)
		}
	}
}

// allCodes are all codes that an error may have.
func allCodes() iter.Seq[task.Code] {
	return func(yield func(task.Code) bool) {
		for c := task.CodeInvalidArgument; c.String() != "unknown"; c++ {
			if !yield(c) {
				return
			}
		}
	}
}

// outwardStatuses are the statuses that errors have, and those of the edge.
func outwardStatuses() map[string]bool {
	statuses := map[string]bool{"200": true, "403": true, "415": true}
	for c := range allCodes() {
		statuses[strconv.Itoa(outwardOf(c).http)] = true
	}
	return statuses
}
