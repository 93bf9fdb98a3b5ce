package compile

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Route is one way to call a method over HTTP.
type Route struct {
	Selector string // full name of the method, like "fenfa.v1.TaskService.Get"
	Method   string // in lower case
	Path     string // with the fields of the request in braces
	Body     string // "*", the field that is the body, or empty: none
	Lines    bool   // the answer is a stream of lines of JSON
}

// rule is a route in a file of the form google.api.Service.
type rule struct {
	Selector string `yaml:"selector"`
	Get      string `yaml:"get"`
	Put      string `yaml:"put"`
	Post     string `yaml:"post"`
	Patch    string `yaml:"patch"`
	Delete   string `yaml:"delete"`
	Body     string `yaml:"body"`
	Also     []rule `yaml:"additional_bindings"`
}

// ReadRoutes reads a file of the form google.api.Service, with all additional
// bindings.
func ReadRoutes(file []byte, lines bool) ([]Route, error) {
	var f struct {
		Type    string `yaml:"type"`
		Version int    `yaml:"config_version"`
		HTTP    struct {
			Rules []rule `yaml:"rules"`
		} `yaml:"http"`
	}
	d := yaml.NewDecoder(bytes.NewReader(file))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	var routes []Route
	for _, r := range f.HTTP.Rules {
		for _, b := range append([]rule{r}, r.Also...) {
			b.Selector = r.Selector
			route, err := b.route()
			if err != nil {
				return nil, err
			}
			route.Lines = lines
			routes = append(routes, route)
		}
	}
	return routes, nil
}

func (r *rule) route() (Route, error) {
	route := Route{Selector: r.Selector, Body: r.Body}
	for _, m := range []struct{ method, path string }{
		{"get", r.Get}, {"put", r.Put}, {"post", r.Post}, {"patch", r.Patch}, {"delete", r.Delete},
	} {
		if m.path == "" {
			continue
		}
		if route.Path != "" {
			return Route{}, fmt.Errorf("read routes: %s has two methods in one rule: use additional_bindings", r.Selector)
		}
		route.Method, route.Path = m.method, m.path
	}
	if route.Path == "" {
		return Route{}, fmt.Errorf("read routes: %s has no path", r.Selector)
	}
	return route, nil
}

// variable matches a field of the request in a path, with the pattern that it may
// have.
var variable = regexp.MustCompile(`\{([^}=]+)(=[^}]*)?\}`)

// pathField is a field of the request that a path carries.
type pathField struct {
	field string // path of the field, like "queue.name"
	name  string // what the document calls it
}

// template is the path as the document has it, and the fields in it. A field of a
// field is called by its own name, where no other is called so.
func (r *Route) template() (string, []pathField) {
	var fields []pathField
	count := map[string]int{}
	for _, m := range variable.FindAllStringSubmatch(r.Path, -1) {
		f := pathField{field: m[1], name: m[1][strings.LastIndexByte(m[1], '.')+1:]}
		fields = append(fields, f)
		count[f.name]++
	}
	for i := range fields {
		if count[fields[i].name] > 1 {
			fields[i].name = strings.ReplaceAll(fields[i].field, ".", "_")
		}
	}
	next := 0
	path := variable.ReplaceAllStringFunc(r.Path, func(string) string {
		next++
		return "{" + fields[next-1].name + "}"
	})
	return path, fields
}

// sortRoutes puts routes in the order of their methods' names, so that the order
// of the file does not matter.
func sortRoutes(routes []Route) {
	slices.SortStableFunc(routes, func(a, b Route) int {
		return cmp.Or(strings.Compare(a.Selector, b.Selector), strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
	})
}
