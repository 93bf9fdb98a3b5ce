package fenfaotel

import (
	"context"
	"maps"
	"strconv"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/fenfa/fenfa"
)

// scope names this package to whoever collects spans.
const scope = "github.com/fenfa/fenfa/fenfaotel"

// Config says how tasks are traced. Its zero value suits programs that have set up
// OpenTelemetry for the whole process.
type Config struct {
	Provider   trace.TracerProvider          // default: that of the process
	Propagator propagation.TextMapPropagator // default: W3C Trace Context
	// Link begins a new trace for each attempt, which only links to the submitter's.
	// Default: an attempt is a part of the submitter's trace.
	Link bool
}

// Tracing is middleware that traces tasks.
type Tracing struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	link       bool
}

// New returns middleware that traces tasks.
func New(cfg Config) *Tracing {
	if cfg.Provider == nil {
		cfg.Provider = otel.GetTracerProvider()
	}
	if cfg.Propagator == nil {
		cfg.Propagator = propagation.TraceContext{}
	}
	return &Tracing{tracer: cfg.Provider.Tracer(scope), propagator: cfg.Propagator, link: cfg.Link}
}

// Submits traces submits: one span for each call, whose context travels with its
// tasks. A task that carries a context already keeps it.
func (t *Tracing) Submits() fenfa.SubmitMiddleware {
	return func(next fenfa.SubmitFunc) fenfa.SubmitFunc {
		return func(ctx context.Context, tasks []*fenfa.Task) ([]fenfa.SubmitResult, error) {
			ctx, span := t.tracer.Start(ctx, "submit "+commonQueue(tasks), trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(submitAttributes(tasks)...))
			defer span.End()
			carried := make([]*fenfa.Task, len(tasks))
			for i, task := range tasks {
				carried[i] = t.carry(ctx, task)
			}
			results, err := next(ctx, carried)
			failed(span, firstError(results, err))
			return results, err
		}
	}
}

// firstError is that of the call, or of the first task that was refused.
func firstError(results []fenfa.SubmitResult, err error) error {
	for i := range results {
		if err == nil {
			err = results[i].Err
		}
	}
	return err
}

// carry returns a task that carries the context.
func (t *Tracing) carry(ctx context.Context, task *fenfa.Task) *fenfa.Task {
	if task == nil {
		return nil
	}
	for _, name := range t.propagator.Fields() {
		if task.Header(name) != "" {
			return task
		}
	}
	headers := propagation.MapCarrier{}
	t.propagator.Inject(ctx, headers)
	if len(headers) == 0 {
		return task
	}
	options := make([]fenfa.TaskOption, 0, len(headers))
	for name, value := range headers {
		options = append(options, fenfa.Header(name, value))
	}
	return task.With(options...)
}

// Handlers traces attempts: one span for each, in whose context the handler runs, and
// which the tasks that it emits carry on.
func (t *Tracing) Handlers() fenfa.Middleware {
	return func(next fenfa.HandlerFunc) fenfa.HandlerFunc {
		return func(ctx context.Context, task *fenfa.Task) error {
			ctx, span := t.begin(ctx, task)
			task.OnEmit(func(emitted *fenfa.Task) *fenfa.Task { return t.carry(ctx, emitted) })
			returned := false
			defer func() {
				if !returned { // What it panicked with goes on to the worker.
					span.SetStatus(codes.Error, "the handler panicked")
				}
				span.End()
			}()
			err := next(ctx, task)
			returned = true
			failed(span, err)
			return err
		}
	}
}

// begin begins the span of an attempt.
func (t *Tracing) begin(ctx context.Context, task *fenfa.Task) (context.Context, trace.Span) {
	sent := t.propagator.Extract(context.Background(), propagation.MapCarrier(task.Headers()))
	origin := trace.SpanContextFromContext(sent)
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("messaging.system", "fenfa"),
		attribute.String("messaging.operation.name", "process"),
		attribute.String("messaging.operation.type", "process"),
		attribute.String("messaging.destination.name", task.Queue()),
		attribute.String("messaging.message.id", task.ID().String()),
		attribute.String("fenfa.task.type", task.Type()),
		attribute.Int("fenfa.task.attempt", task.Attempt()),
		attribute.Int("fenfa.task.delivery", task.Delivery()),
	)}
	if origin.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: origin}))
	}
	if origin.IsValid() && !t.link {
		ctx = t.propagator.Extract(ctx, propagation.MapCarrier(task.Headers()))
	} else {
		options = append(options, trace.WithNewRoot())
	}
	return t.tracer.Start(ctx, "process "+task.Queue(), options...)
}

// failed writes an error down.
func failed(span trace.Span, err error) {
	if err == nil {
		return
	}
	span.RecordError(err)
	span.SetStatus(codes.Error, fenfa.CodeOf(err).String())
	span.SetAttributes(attribute.String("error.type", fenfa.CodeOf(err).String()))
}

// commonQueue is the queue of the tasks, or how many queues they are for.
func commonQueue(tasks []*fenfa.Task) string {
	queues := map[string]bool{}
	for _, task := range tasks {
		if task != nil {
			queues[task.Queue()] = true
		}
	}
	if len(queues) != 1 {
		return strconv.Itoa(len(queues)) + " queues"
	}
	for queue := range maps.Keys(queues) {
		return queue
	}
	return ""
}

func submitAttributes(tasks []*fenfa.Task) []attribute.KeyValue {
	all := []attribute.KeyValue{
		attribute.String("messaging.system", "fenfa"),
		attribute.String("messaging.operation.name", "submit"),
		attribute.String("messaging.operation.type", "send"),
		attribute.String("messaging.destination.name", commonQueue(tasks)),
	}
	if len(tasks) == 1 && tasks[0] != nil {
		return append(all, attribute.String("messaging.message.id", tasks[0].ID().String()))
	}
	return append(all, attribute.Int("messaging.batch.message_count", len(tasks)))
}
