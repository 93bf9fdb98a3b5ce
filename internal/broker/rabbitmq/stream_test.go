package rabbitmq

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
)

func TestStreamWritesEverythingInOrder(t *testing.T) {
	near, far := net.Pipe()
	s := newStream(near)
	const n, size = 3000, 1000 // more than may be pending
	got := make(chan []byte, 1)
	go func() {
		all, _ := io.ReadAll(io.LimitReader(far, n*size))
		got <- all
	}()
	var want []byte
	for i := range n {
		chunk := bytes.Repeat([]byte{byte(i)}, size)
		want = append(want, chunk...)
		if written, err := s.Write(chunk); err != nil || written != size {
			t.Fatalf("wrote %d, %v", written, err)
		}
		clear(chunk) // what was written belongs to the caller again
	}
	if !bytes.Equal(<-got, want) {
		t.Error("what arrived is not what was written")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	_ = far.Close()
}

func TestStreamTellsThatTheConnectionBroke(t *testing.T) {
	near, far := net.Pipe()
	s := newStream(near)
	_ = far.Close()
	var err error
	for range 10 * maxPending / 1000 {
		if _, err = s.Write(make([]byte, 1000)); err != nil {
			break
		}
	}
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	_ = s.Close()
}

func TestCloseOfAStreamEndsWritersThatWait(t *testing.T) {
	near, far := net.Pipe() // nobody reads
	s := newStream(near)
	ended := make(chan error, 1)
	filling := make(chan struct{})
	go func() {
		close(filling)
		for {
			if _, err := s.Write(make([]byte, maxPending/2)); err != nil {
				ended <- err
				return
			}
		}
	}()
	<-filling
	_ = s.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
	_ = far.Close()
}
