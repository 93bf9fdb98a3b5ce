package fenfaotel_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfaotel"
	"github.com/fenfa/fenfa/fenfatest"
)

// collected is a provider whose spans can be looked at.
func collected() (*tracetest.InMemoryExporter, *sdk.TracerProvider) {
	spans := tracetest.NewInMemoryExporter()
	return spans, sdk.NewTracerProvider(sdk.WithSyncer(spans))
}

// TestOneTraceFromTheSubmitterToWhatAHandlerEmits submits a task whose handler fails
// once, and then emits another task.
func TestOneTraceFromTheSubmitterToWhatAHandlerEmits(t *testing.T) {
	spans, provider := collected()
	tracing := fenfaotel.New(fenfaotel.Config{Provider: provider})
	quick := fenfa.RetryPolicy{Base: 1, Max: 1}
	n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "orders", Retry: quick}), fenfatest.WithQueues("payments"),
		fenfatest.WithDialOptions(fenfa.WithSubmitMiddleware(tracing.Submits())))
	c := n.Client()
	paid := make(chan trace.SpanContext, 1)
	w := c.Worker()
	w.Use(tracing.Handlers())
	w.Handle("orders", func(_ context.Context, task *fenfa.Task) error {
		if task.Attempt() == 1 {
			return errors.New("not yet")
		}
		task.Emit(fenfa.NewTask("payments", "p", fenfa.Header("other", "kept")))
		return nil
	})
	w.Handle("payments", func(ctx context.Context, task *fenfa.Task) error {
		if task.Header("other") != "kept" {
			t.Error("a header was lost")
		}
		paid <- trace.SpanContextFromContext(ctx)
		return nil
	})
	n.Run(w)

	ctx, whole := provider.Tracer("test").Start(t.Context(), "checkout")
	task := fenfa.NewTask("orders", "o")
	if _, err := c.Submit(ctx, task); err != nil {
		t.Fatal(err)
	}
	if got := <-paid; got.TraceID() != whole.SpanContext().TraceID() {
		t.Error("the emitted task is handled in another trace")
	}
	whole.End()
	// The same task again, in another trace, is no other task.
	if r, err := c.SubmitResult(t.Context(), task); err != nil || !r.Duplicate {
		t.Errorf("a repeat in another trace: %+v, %v", r, err)
	}
	submit := find(t, spans, "submit orders", 0)
	first, second := find(t, spans, "process orders", 0), find(t, spans, "process orders", 1)
	if submit.Parent.SpanID() != whole.SpanContext().SpanID() || first.Parent.SpanID() != submit.SpanContext.SpanID() || second.Parent.SpanID() != submit.SpanContext.SpanID() {
		t.Error("the spans are not below each other")
	}
	if submit.SpanKind != trace.SpanKindProducer || first.SpanKind != trace.SpanKindConsumer || len(first.Links) != 1 || first.Links[0].SpanContext.SpanID() != submit.SpanContext.SpanID() {
		t.Errorf("kinds and links are wrong: %v", first)
	}
	if first.Status.Code != codes.Error || second.Status.Code == codes.Error {
		t.Errorf("statuses are %v and %v", first.Status, second.Status)
	}
	if !has(first, attribute.String("messaging.message.id", task.ID().String())) || !has(second, attribute.Int("fenfa.task.attempt", 2)) {
		t.Errorf("attributes are %v and %v", first.Attributes, second.Attributes)
	}
}

// find returns the i-th span of a name, in the order in which they ended.
func find(t *testing.T, spans *tracetest.InMemoryExporter, name string, i int) tracetest.SpanStub {
	t.Helper()
	var names []string
	for _, s := range spans.GetSpans() {
		names = append(names, s.Name)
		if s.Name != name {
			continue
		}
		if i == 0 {
			return s
		}
		i--
	}
	t.Fatalf("there is no span %q among %s", name, strings.Join(names, ", "))
	return tracetest.SpanStub{}
}

func has(s tracetest.SpanStub, want attribute.KeyValue) bool {
	return slices.Contains(s.Attributes, want)
}

// TestLinkedTracesStandByThemselves links instead, and has a handler panic.
func TestLinkedTracesStandByThemselves(t *testing.T) {
	spans, provider := collected()
	tracing := fenfaotel.New(fenfaotel.Config{Provider: provider, Link: true})
	n := fenfatest.Start(t, fenfatest.WithQueues("orders"), fenfatest.WithDialOptions(fenfa.WithSubmitMiddleware(tracing.Submits())))
	done := make(chan struct{}, 2)
	w := n.Client().Worker()
	w.Use(func(next fenfa.HandlerFunc) fenfa.HandlerFunc {
		return func(ctx context.Context, task *fenfa.Task) error {
			defer func() { done <- struct{}{} }()
			return next(ctx, task)
		}
	}, tracing.Handlers())
	w.Handle("orders", func(context.Context, *fenfa.Task) error { panic("no") })
	n.Run(w)
	results, err := n.Client().SubmitBatch(t.Context(), []*fenfa.Task{
		fenfa.NewTask("orders", "o", fenfa.Retry(fenfa.RetryPolicy{MaxAttempts: 1})), fenfa.NewTask("nowhere", "o"),
	})
	if err != nil || results[0].Err != nil || fenfa.CodeOf(results[1].Err) != fenfa.CodeNotFound {
		t.Fatalf("got %+v, %v", results, err)
	}
	<-done
	submit, process := find(t, spans, "submit 2 queues", 0), find(t, spans, "process orders", 0)
	if process.SpanContext.TraceID() == submit.SpanContext.TraceID() || process.Parent.IsValid() || process.Links[0].SpanContext.TraceID() != submit.SpanContext.TraceID() {
		t.Error("the attempt is not in a linked trace of its own")
	}
	if process.Status.Code != codes.Error || submit.Status.Code != codes.Error || !has(submit, attribute.Int("messaging.batch.message_count", 2)) {
		t.Errorf("statuses are %v and %v", process.Status, submit.Status)
	}
}
