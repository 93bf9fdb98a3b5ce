package server

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/activity"
	"github.com/fenfa/fenfa/internal/task"
)

// maxShownRequest is how much of a request an entry keeps, in bytes.
const maxShownRequest = 4 << 10

// changes reports whether a method changes something for which somebody answers: what
// asks for manage, operate or admin and does not only look. A run of a schedule by hand
// is kept, too: it stands among ticks that nobody answers for. The start of a saga is a
// submit, which is not.
func changes(method string, r rule) bool {
	if method == fenfav1.CronService_Run_FullMethodName {
		return true
	}
	name := method[strings.LastIndex(method, "/")+1:]
	if strings.HasPrefix(name, "Get") || strings.HasPrefix(name, "List") {
		return false
	}
	for _, n := range r {
		switch n.action { //nolint:exhaustive // The others work with what is there.
		case access.Manage, access.Operate, access.Admin:
			return true
		}
	}
	return false
}

// onlyLooks reports whether a request of a method that changes something says that
// nothing is to change.
func onlyLooks(req any) bool {
	dry, ok := req.(interface{ GetDryRun() bool })
	return ok && dry.GetDryRun()
}

// record runs a method that changes something, and keeps who asked for it and how it
// ended.
func (s *Server) record(ctx context.Context, c *access.Caller, method string, req any, handler grpc.UnaryHandler) (any, error) {
	m, ok := req.(proto.Message)
	if s.cfg.Activity == nil || !ok || !changes(method, s.rules[method]) || onlyLooks(req) {
		return handler(ctx, req)
	}
	end := s.cfg.Activity.Begin(ctx, activity.Entry{
		Actor: c.Name, TokenID: c.ID, Address: c.Address, Method: shortMethod(method), On: namesIn(m), Request: shown(m),
	})
	outcome, message := "panic", ""
	defer func() { end(outcome, message) }()
	resp, err := handler(ctx, req)
	outcome = "ok"
	if err != nil {
		e := errorOf(err)
		outcome, message = e.Code.String(), text(e.Message)
	}
	return resp, err
}

// writerOf names the caller who writes records to the op log, where it stands in the
// place of a worker; empty: the node asks for no token.
func writerOf(ctx context.Context) string {
	if c := callerOf(ctx); c.Name != "" {
		return "token:" + c.Name
	}
	return ""
}

// shortMethod is "QueueService.Configure" for "/fenfa.v1.QueueService/Configure".
func shortMethod(full string) string {
	return strings.ReplaceAll(strings.TrimPrefix(full, "/fenfa.v1."), "/", ".")
}

// namesIn returns what a request says of what it is about: its fields named id, ids,
// name, names and queue.
func namesIn(m proto.Message) []string {
	const most = 100
	var names []string
	for _, path := range []string{"id", "ids", "name", "names", "queue", "queue.name", "definition.name"} {
		first, _, _ := strings.Cut(path, ".")
		field := m.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(first))
		if field == nil || (field.Kind() == protoreflect.StringKind) == strings.Contains(path, ".") {
			continue
		}
		if field.Kind() != protoreflect.StringKind && field.Kind() != protoreflect.MessageKind {
			continue
		}
		if field.Kind() == protoreflect.MessageKind && field.Message().Fields().ByName("name") == nil {
			continue
		}
		for _, name := range textsAt(m, path) {
			if name != "" && len(names) < most {
				names = append(names, name)
			}
		}
	}
	return names
}

// shown is a request as JSON, without what must not be kept: bytes, which are payloads,
// values of headers, and texts whose names say that they are secret.
func shown(m proto.Message) string {
	copied := proto.Clone(m)
	redact(copied.ProtoReflect())
	b, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(copied)
	if err != nil {
		return ""
	}
	return text(string(b[:min(len(b), maxShownRequest)]))
}

const redacted = "[redacted]"

func redact(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap():
			redactMap(field, value.Map())
		case field.Kind() == protoreflect.BytesKind:
			m.Clear(field)
		case field.Kind() == protoreflect.StringKind && isSecret(string(field.Name())):
			m.Clear(field)
			if !field.IsList() {
				m.Set(field, protoreflect.ValueOfString(redacted))
			}
		case field.Kind() != protoreflect.MessageKind:
		case field.IsList():
			for i := range value.List().Len() {
				redact(value.List().Get(i).Message())
			}
		default:
			redact(value.Message())
		}
		return true
	})
}

// redactMap leaves the names of a map, and hides its values.
func redactMap(field protoreflect.FieldDescriptor, values protoreflect.Map) {
	values.Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
		switch field.MapValue().Kind() { //nolint:exhaustive // Numbers hide nothing.
		case protoreflect.StringKind:
			values.Set(key, protoreflect.ValueOfString(redacted))
		case protoreflect.BytesKind:
			values.Set(key, protoreflect.ValueOfBytes(nil))
		case protoreflect.MessageKind:
			redact(value.Message())
		}
		return true
	})
}

// isSecret judges a field by its name.
func isSecret(name string) bool {
	for _, part := range []string{"secret", "password", "token", "key_pem", "url"} {
		if strings.Contains(name, part) && name != "page_token" {
			return true
		}
	}
	return false
}

// activityService implements fenfa.v1.ActivityService.
type activityService struct {
	fenfav1.UnimplementedActivityServiceServer
	*Server
}

// List lists changes, newest first.
func (s *activityService) List(ctx context.Context, req *fenfav1.ListActivityRequest) (*fenfav1.ListActivityResponse, error) {
	if s.cfg.Activity == nil {
		return nil, task.Errorf(task.CodeUnimplemented, "this node keeps no activity")
	}
	limit, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	f := activity.Filter{Actor: req.GetActor(), Method: req.GetMethod()}
	if req.GetSince() != nil {
		f.Since = req.GetSince().AsTime()
	}
	if req.GetUntil() != nil {
		f.Until = req.GetUntil().AsTime()
	}
	entries, next, err := s.cfg.Activity.List(ctx, f, limit, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &fenfav1.ListActivityResponse{NextPageToken: next}
	for i := range entries {
		e := &entries[i]
		resp.Activities = append(resp.Activities, &fenfav1.Activity{
			At: timeToWire(e.At), Actor: e.Actor, TokenId: e.TokenID, Address: e.Address, Node: e.Node, Method: e.Method, On: e.On,
			Request: e.Request, Outcome: e.Outcome, Message: e.Message, Took: durationpb.New(e.Took),
		})
	}
	return resp, nil
}
