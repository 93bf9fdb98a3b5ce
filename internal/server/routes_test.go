package server

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/access"
)

// route is one route of the gateway.
type route struct{ selector, method, path, body string }

func gatewayRoutes(t *testing.T) []route {
	t.Helper()
	b, err := os.ReadFile("../../api/gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	type rule struct {
		Selector, Get, Put, Post, Patch, Delete, Body string
		Additional                                    []rule `yaml:"additional_bindings"`
	}
	var file struct{ HTTP struct{ Rules []rule } }
	if err := yaml.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	var routes []route
	for _, first := range file.HTTP.Rules {
		for _, r := range append([]rule{first}, first.Additional...) {
			for verb, path := range map[string]string{"GET": r.Get, "PUT": r.Put, "POST": r.Post, "PATCH": r.Patch, "DELETE": r.Delete} {
				if path != "" {
					routes = append(routes, route{first.Selector, verb, path, r.Body})
				}
			}
		}
	}
	if len(routes) < len(file.HTTP.Rules) {
		t.Fatalf("%d routes of %d rules were found", len(routes), len(file.HTTP.Rules))
	}
	return routes
}

// TestEveryRouteAsksForTheScopesOfItsMethod walks every HTTP route with every scope.
func TestEveryRouteAsksForTheScopesOfItsMethod(t *testing.T) {
	h := newGuarded(t)
	all := gatewayRoutes(t)
	streams := map[string]string{watchPath: fenfav1.WatchService_Watch_FullMethodName, auditPath: fenfav1.AuditService_Audit_FullMethodName}
	for path := range h.streamRoutes() {
		if streams[path] == "" {
			t.Errorf("%s is a stream that this test does not know", path)
		}
		all = append(all, route{selector: strings.ReplaceAll(streams[path][1:], "/", "."), method: http.MethodGet, path: path})
	}
	tokens := map[access.Action]string{}
	for _, a := range access.Actions() {
		tokens[a] = h.token(t, string(a), "*:"+string(a))
	}
	for _, r := range all {
		service, name, _ := strings.Cut(strings.TrimPrefix(r.selector, "fenfa.v1."), ".")
		asked, ok := rules()["/fenfa.v1."+service+"/"+name]
		if !ok {
			t.Errorf("%s has no rule", r.selector)
		}
		path := strings.NewReplacer("{", "", "}", "", "/tasks/{id}", "/tasks/"+someID, "/dead/{id}", "/dead/"+someID, "/wait", "/wait?timeout=0s").Replace(r.path)
		body := func() io.Reader {
			if r.body == "" {
				return nil
			}
			return strings.NewReader("{}")
		}
		if got := h.do(t, r.method, path, body()); got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s without a token: %d %s", r.method, path, got.status, got.body)
		}
		for a, token := range tokens {
			got := h.do(t, r.method, path, body(), "Authorization", "Bearer "+token)
			if denied := got.status == http.StatusForbidden; denied == allowed(asked, a) || got.status == http.StatusUnauthorized {
				t.Errorf("%s %s with %s: %d %s", r.method, path, a, got.status, got.body)
			}
		}
	}
}
