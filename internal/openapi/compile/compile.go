package compile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// version is that of the API, and of OpenAPI the one that generators know best.
const (
	version = "v1"
	openapi = "3.0.3"
)

const description = `The HTTP side of a node: all of the API but the streams of workers.

Bodies and answers are JSON. Unknown fields and unknown parameters are refused. 64-bit integers are strings in answers and may be numbers in requests. A field of bytes is base64; wherever there is one, say payload, a request may have payload_json, any JSON document whose bytes are taken as they are, or payload_text instead, and answers have the one that fits beside it. Keys with slashes are written %2F in paths.`

// Compile describes the methods that have routes. Every route must be of a method
// in the files.
func Compile(files []protoreflect.FileDescriptor, routes []Route) (*Document, error) {
	b := &builder{schemas: newSchemas(), doc: &Document{
		OpenAPI: openapi,
		Info:    Info{Title: "fenfa", Version: version, Description: description},
		Paths:   map[string]map[string]*Operation{},
	}}
	methods := map[string]protoreflect.MethodDescriptor{}
	for _, f := range files {
		for i := range f.Services().Len() {
			service := f.Services().Get(i)
			for j := range service.Methods().Len() {
				methods[string(service.Methods().Get(j).FullName())] = service.Methods().Get(j)
			}
		}
	}
	routes = slices.Clone(routes)
	sortRoutes(routes)
	for _, r := range routes {
		m := methods[r.Selector]
		if m == nil {
			return nil, fmt.Errorf("compile routes: there is no method %s", r.Selector)
		}
		if err := b.add(r, m); err != nil {
			return nil, err
		}
	}
	b.pages()
	for _, md := range b.asked {
		b.schemas.closeAsked(md)
	}
	b.doc.Components = Components{
		Schemas: b.schemas.known, Responses: refusalResponses(),
		SecuritySchemes: map[string]SecurityScheme{"token": {Type: "http", Scheme: "bearer", Description: "A token of the API, where the node asks for one."}},
	}
	b.doc.Security = []map[string][]string{{}, {"token": {}}}
	for name, schema := range failureSchemas() {
		if b.schemas.known[name] != nil {
			return nil, fmt.Errorf("compile routes: a message is called %s, as the error is", name)
		}
		b.schemas.known[name] = schema
	}
	return b.doc, b.schemas.err
}

// builder adds operations to a document.
type builder struct {
	doc     *Document
	schemas *schemas
	asked   []protoreflect.MessageDescriptor // that requests carry
}

// add describes one route.
func (b *builder) add(r Route, m protoreflect.MethodDescriptor) error {
	path, inPath := r.template()
	service := strings.TrimSuffix(string(m.Parent().Name()), "Service")
	words := strings.TrimPrefix(wordsOf(m), string(m.Name())+" ")
	if words == "" {
		words = spaced(string(m.Name())) + " of " + lower(service) + "s"
	}
	summary, others := sentence(words)
	op := &Operation{
		OperationID: lower(service) + string(m.Name()), Tags: []string{service},
		Summary: capital(summary), Description: others,
	}
	for _, f := range inPath {
		fd, err := fieldAt(m.Input(), f.field)
		if err != nil {
			return fmt.Errorf("compile %s: %w", r.Selector, err)
		}
		op.Parameters = append(op.Parameters, Parameter{Name: f.name, In: "path", Required: true, Description: wordsOf(fd), Schema: b.schemas.field(fd)})
	}
	if err := b.request(op, r, m.Input(), inPath); err != nil {
		return fmt.Errorf("compile %s: %w", r.Selector, err)
	}
	op.Responses = answers(b.success(r, m))
	return b.put(path, r.Method, op, m)
}

// put takes an operation into the document.
func (b *builder) put(path, method string, op *Operation, m protoreflect.MethodDescriptor) error {
	if b.doc.Paths[path] == nil {
		b.doc.Paths[path] = map[string]*Operation{}
	}
	if b.doc.Paths[path][method] != nil {
		return fmt.Errorf("compile routes: %s %s is there twice", method, path)
	}
	for _, others := range b.doc.Paths {
		for _, other := range others {
			if other.OperationID == op.OperationID {
				op.OperationID += capital(method)
			}
		}
	}
	b.doc.Paths[path][method] = op
	if tag := op.Tags[0]; !slices.ContainsFunc(b.doc.Tags, func(t Tag) bool { return t.Name == tag }) {
		b.doc.Tags = append(b.doc.Tags, Tag{Name: tag, Description: wordsOf(m.Parent())})
	}
	return nil
}

// request describes the body, or the query where there is none.
func (b *builder) request(op *Operation, r Route, in protoreflect.MessageDescriptor, inPath []pathField) error {
	var left []string
	for _, f := range inPath {
		left = append(left, f.field)
	}
	switch r.Body {
	case "*":
		op.RequestBody = &Body{Required: in.Fields().Len() > len(left), Content: of(b.schemas.without(in, left))}
		b.asked = append(b.asked, in)
	case "":
		for i := range in.Fields().Len() {
			fd := in.Fields().Get(i)
			schema := b.schemas.inQuery(fd)
			if schema == nil || slices.Contains(left, string(fd.Name())) {
				continue
			}
			op.Parameters = append(op.Parameters, Parameter{Name: fd.TextName(), In: "query", Description: wordsOf(fd), Schema: schema})
		}
	default:
		fd := in.Fields().ByName(protoreflect.Name(r.Body))
		if fd == nil || fd.Message() == nil {
			return fmt.Errorf("the body %s is no message of the request", r.Body)
		}
		op.RequestBody = &Body{Content: of(b.schemas.message(fd.Message()))}
		b.asked = append(b.asked, fd.Message())
	}
	return nil
}

// success describes the answer when all went well.
func (b *builder) success(r Route, m protoreflect.MethodDescriptor) *Response {
	if !r.Lines {
		return &Response{Description: "Done.", Content: of(b.schemas.message(m.Output()))}
	}
	b.schemas.message(m.Output())
	return &Response{
		Description: "Lines of JSON, each a " + b.schemas.nameOf(m.Output()) + ", as they come. Where the stream ends with an error, that is the last line, in the form of every error.",
		Content:     map[string]Media{"application/x-ndjson": {Schema: &Schema{Type: "string"}}},
	}
}

// fieldAt finds a field by its path.
func fieldAt(md protoreflect.MessageDescriptor, path string) (fd protoreflect.FieldDescriptor, err error) {
	for name := range strings.SplitSeq(path, ".") {
		if md == nil {
			return nil, errors.New("the path " + path + " leads through what is no message")
		}
		if fd = md.Fields().ByName(protoreflect.Name(name)); fd == nil {
			return nil, fmt.Errorf("there is no field %s", path)
		}
		md = fd.Message()
	}
	return fd, nil
}

// spaced writes a name like GetDead as words.
func spaced(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}
