package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/lock"
	"github.com/fenfa/fenfa/internal/task"
)

// cut waits until the other side closes a raw connection.
func cut(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	_, err := io.Copy(io.Discard, conn)
	if e, ok := err.(net.Error); ok && e.Timeout() { //nolint:errorlint // The connection's own error.
		t.Error("the connection is still open after a minute")
	}
	_ = conn.Close()
}

func raw(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestThoseWhoDawdleAreCutOff holds connections open with as little as possible.
func TestThoseWhoDawdleAreCutOff(t *testing.T) {
	const soon = 50 * time.Millisecond
	h := newHarness(t, func(_ *fakeEngine, cfg *Config) { cfg.Handshake, cfg.Header = soon, soon })
	web, rpc := strings.TrimPrefix(h.url, "http://"), h.conn.Target()
	for name, c := range map[string]struct{ addr, says string }{
		"http, nothing":          {web, ""},
		"http, half a head":      {web, "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: "},
		"grpc, nothing":          {rpc, ""},
		"grpc, half a preface":   {rpc, "PRI * HTTP/2.0\r\n"},
		"grpc, another protocol": {rpc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := raw(t, c.addr)
			if _, err := io.WriteString(conn, c.says); err != nil {
				t.Fatal(err)
			}
			cut(t, conn)
		})
	}
}

func TestAHeadThatIsTooLargeIsRefused(t *testing.T) {
	h := newHarness(t)
	conn := raw(t, strings.TrimPrefix(h.url, "http://"))
	go func() {
		_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Big: "+strings.Repeat("a", 1<<20)+"\r\n\r\n")
	}()
	head := make([]byte, 12)
	if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 431" {
		t.Errorf("got %q, %v", head, err)
	}
	cut(t, conn)
}

// bomb is n bytes that take next to nothing on the wire.
func bomb(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(make([]byte, n)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// gzipped compresses what a client sends. It is given to one connection: a server of
// this process would know it otherwise.
type gzipped struct{}

// Do implements grpc.Compressor.
func (gzipped) Do(w io.Writer, p []byte) error {
	z := gzip.NewWriter(w)
	if _, err := z.Write(p); err != nil {
		return err
	}
	return z.Close()
}

// Type implements grpc.Compressor.
func (gzipped) Type() string { return "gzip" }

// TestCompressionOpensNoDoor sends what would be large when it is unpacked.
func TestCompressionOpensNoDoor(t *testing.T) {
	const most = 4 << 20
	h := newHarness(t, func(_ *fakeEngine, cfg *Config) { cfg.MaxRequest = most })
	packed := bomb(t, 16<<20)
	if got := h.do(t, http.MethodPost, "/v1/tasks", bytes.NewReader(packed), "Content-Encoding", "gzip"); got.status != http.StatusUnsupportedMediaType {
		t.Errorf("http: %d %s", got.status, got.body)
	}
	// Nobody has registered a compressor with gRPC; whoever does must see that what is
	// unpacked stays bounded.
	for _, name := range []string{"gzip", "snappy", "zstd"} {
		if encoding.GetCompressor(name) != nil {
			t.Errorf("gRPC unpacks %s", name)
		}
	}
	conn, err := grpc.NewClient(h.conn.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithCompressor(gzipped{})) //nolint:staticcheck // It is the way that registers nothing.
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = fenfav1.NewTaskServiceClient(conn).Submit(t.Context(), &fenfav1.SubmitRequest{Tasks: []*fenfav1.Task{{Queue: "orders", Payload: make([]byte, 16<<20)}}})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("grpc: %v", err)
	}
}

func TestAPortHasAsManyConnectionsAsItMay(t *testing.T) {
	h := newHarness(t, func(_ *fakeEngine, cfg *Config) { cfg.MaxConnections = 2 })
	addr := strings.TrimPrefix(h.url, "http://")
	ask := func(conn net.Conn) error {
		if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, make([]byte, 12))
		return err
	}
	first, second := raw(t, addr), raw(t, addr)
	for _, conn := range []net.Conn{first, second} {
		if err := ask(conn); err != nil {
			t.Fatal(err)
		}
	}
	third := raw(t, addr)
	if err := ask(third); err == nil {
		t.Error("a third connection is served")
	}
	_, _ = third.Close(), first.Close()
	// The place of the first is free when its end was noticed.
	served := false
	for deadline := time.Now().Add(time.Minute); !served && time.Now().Before(deadline); {
		conn := raw(t, addr)
		served = ask(conn) == nil
		_ = conn.Close()
	}
	if !served {
		t.Error("the place of a connection that was closed is not given to another")
	}
	_ = second.Close()
}

// TestAConnectionHasAsManyStreamsAsItMay has one call wait: the next one begins when
// it ends.
func TestAConnectionHasAsManyStreamsAsItMay(t *testing.T) {
	begun, goOn := make(chan struct{}, 2), make(chan struct{})
	h := newHarness(t, func(e *fakeEngine, cfg *Config) {
		cfg.MaxStreams = 1
		e.acquire = func(_ context.Context, r lock.Request) (lock.Held, error) {
			begun <- struct{}{}
			<-goOn
			return lock.Held{Name: r.Name}, nil
		}
	})
	c := fenfav1.NewLockServiceClient(h.conn)
	ended := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := c.Acquire(t.Context(), &fenfav1.AcquireLockRequest{Name: "l"})
			ended <- err
		}()
	}
	<-begun
	select {
	case <-begun:
		t.Error("two calls go on at once")
	default:
	}
	close(goOn)
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestAMessageThatIsTooLargeIsRefusedOverGRPC(t *testing.T) {
	h := newHarness(t, func(_ *fakeEngine, cfg *Config) { cfg.MaxRequest = 1 << 20 })
	_, err := fenfav1.NewTaskServiceClient(h.conn).Submit(t.Context(), &fenfav1.SubmitRequest{Tasks: []*fenfav1.Task{{Queue: "orders", Payload: make([]byte, 2<<20)}}})
	if e := errorOf(err); e.Code != task.CodeTooLarge {
		t.Errorf("got %v", err)
	}
}
