package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/task"
)

// newGateway serves the unary methods as JSON. It calls the services in process, by
// the same rules; limits that gRPC would hold are held by guard, and errors pass
// through the same table.
func (s *Server) newGateway() (http.Handler, error) {
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newStrictJSON()),
		runtime.WithErrorHandler(s.gatewayError),
		runtime.WithRoutingErrorHandler(s.routingError),
		// A key may have slashes, which are written %2F.
		runtime.WithUnescapingMode(runtime.UnescapingModeAllExceptSlash),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithMiddlewares(s.strictQuery),
		runtime.WithForwardResponseOption(func(context.Context, http.ResponseWriter, proto.Message) error {
			s.count("http", nil)
			return nil
		}),
		runtime.WithOutgoingHeaderMatcher(func(string) (string, bool) { return "", false }),
	)
	conn := &inProcess{server: s, methods: map[string]inProcessMethod{}}
	s.services(conn)
	ctx := context.Background()
	for _, register := range []func() error{
		func() error {
			return fenfav1.RegisterTaskServiceHandlerClient(ctx, mux, fenfav1.NewTaskServiceClient(conn))
		},
		func() error {
			return fenfav1.RegisterStateServiceHandlerClient(ctx, mux, fenfav1.NewStateServiceClient(conn))
		},
		func() error {
			return fenfav1.RegisterLockServiceHandlerClient(ctx, mux, fenfav1.NewLockServiceClient(conn))
		},
		func() error {
			return fenfav1.RegisterLeaseServiceHandlerClient(ctx, mux, fenfav1.NewLeaseServiceClient(conn))
		},
		func() error {
			return fenfav1.RegisterQueueServiceHandlerClient(ctx, mux, fenfav1.NewQueueServiceClient(conn))
		},
		func() error {
			return fenfav1.RegisterDeadServiceHandlerClient(ctx, mux, fenfav1.NewDeadServiceClient(conn))
		},
		func() error {
			return fenfav1.RegisterCronServiceHandlerClient(ctx, mux, fenfav1.NewCronServiceClient(conn))
		},
		func() error {
			return fenfav1.RegisterSagaServiceHandlerClient(ctx, mux, fenfav1.NewSagaServiceClient(conn))
		},
		func() error {
			return fenfav1.RegisterShardServiceHandlerClient(ctx, mux, fenfav1.NewShardServiceClient(conn))
		},
		func() error {
			return fenfav1.RegisterClusterServiceHandlerClient(ctx, mux, fenfav1.NewClusterServiceClient(conn))
		},
		func() error {
			return fenfav1.RegisterTokenServiceHandlerClient(ctx, mux, fenfav1.NewTokenServiceClient(conn))
		},
		func() error {
			return fenfav1.RegisterActivityServiceHandlerClient(ctx, mux, fenfav1.NewActivityServiceClient(conn))
		},
	} {
		if err := register(); err != nil {
			return nil, fmt.Errorf("register routes: %w", err)
		}
	}
	return mux, nil
}

// gatewayError answers for errors of services and of the gateway's own reading.
func (s *Server) gatewayError(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	if body, ok := ctx.Value(bodyKey{}).(*guardedBody); ok && body.tooLarge {
		err = s.tooLarge()
	}
	s.writeError(w, r, err)
}

// routingError answers where no route fits.
func (s *Server) routingError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, status int) {
	e := task.Errorf(task.CodeNotFound, "there is no route %s: the API is under /v1", r.URL.Path)
	switch status {
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		status = http.StatusMethodNotAllowed
		e = notAllowed(r)
	case http.StatusBadRequest:
		e = task.Errorf(task.CodeInvalidArgument, "the path %s is malformed", r.URL.Path)
	}
	s.writeErrorAs(w, r, status, e)
}

// strictQuery refuses query parameters that are not fields of the request, which
// the gateway would pass over in silence.
func (s *Server) strictQuery(next runtime.HandlerFunc) runtime.HandlerFunc {
	fields := map[string]protoreflect.FieldDescriptors{
		"/v1/tasks/{id=*}/wait":                (&fenfav1.WaitTaskRequest{}).ProtoReflect().Descriptor().Fields(),
		"/v1/records":                          (&fenfav1.ScanRecordsRequest{}).ProtoReflect().Descriptor().Fields(),
		"/v1/records/{key=*}/{name=*}/history": (&fenfav1.RecordHistoryRequest{}).ProtoReflect().Descriptor().Fields(),
		"/v1/activity":                         (&fenfav1.ListActivityRequest{}).ProtoReflect().Descriptor().Fields(),
		"/v1/locks":                            (&fenfav1.ListLocksRequest{}).ProtoReflect().Descriptor().Fields(),
		"/v1/tasks":                            (&fenfav1.ListTasksRequest{}).ProtoReflect().Descriptor().Fields(),
		"/v1/dead":                             (&fenfav1.ListDeadRequest{}).ProtoReflect().Descriptor().Fields(),
		"/v1/queues/{queue=*}/halted":          (&fenfav1.ListHaltedRequest{}).ProtoReflect().Descriptor().Fields(),
		"/v1/queues/{queue=*}/dead":            (&fenfav1.ListDeadRequest{}).ProtoReflect().Descriptor().Fields(),
		"/v1/crons":                            (&fenfav1.ListCronsRequest{}).ProtoReflect().Descriptor().Fields(),
		"/v1/crons/{name=*}/next":              (&fenfav1.NextCronRequest{}).ProtoReflect().Descriptor().Fields(),
		"/v1/sagas":                            (&fenfav1.ListSagasRequest{}).ProtoReflect().Descriptor().Fields(),
		"/v1/saga-definitions/{name=*}":        (&fenfav1.GetSagaDefinitionRequest{}).ProtoReflect().Descriptor().Fields(),
	}
	return func(w http.ResponseWriter, r *http.Request, path map[string]string) {
		pattern, _ := runtime.HTTPPattern(r.Context())
		if err := checkQuery(r, fields[pattern.String()], path); err != nil {
			s.writeError(w, r, err)
			return
		}
		next(w, r, path)
	}
}

// checkQuery allows the fields, without those that the path sets. No fields at
// all, or a body, mean no parameters. Those that may be repeated are named.
func checkQuery(r *http.Request, fields protoreflect.FieldDescriptors, path map[string]string, repeated ...string) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return task.Errorf(task.CodeInvalidArgument, "the query of the URL is malformed: %w", err)
	}
	for name, vs := range values {
		_, set := path[name]
		if set || r.Method != http.MethodGet || fields == nil || fields.ByName(protoreflect.Name(name)) == nil {
			return task.Errorf(task.CodeInvalidArgument, "unknown query parameter %q", name).WithField(name)
		}
		if len(vs) > 1 && !slices.Contains(repeated, name) || !utf8.ValidString(strings.Join(vs, "")) {
			return task.Errorf(task.CodeInvalidArgument, "query parameter %s wants one value of UTF-8 text", name).WithField(name)
		}
	}
	return nil
}
