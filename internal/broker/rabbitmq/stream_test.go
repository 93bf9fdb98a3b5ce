package rabbitmq

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestStreamWritesEverythingInOrder(t *testing.T) {
	near, far := net.Pipe()
	s := newStream(near, time.Minute)
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
	s := newStream(near, time.Minute)
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
	s := newStream(near, time.Minute)
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

func TestAStreamThatIsNotReadKeepsWhatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		s := newStream(near, time.Minute)
		s.stopReading()
		s.stopReading() // changes nothing
		got := make(chan string, 1)
		go func() {
			text := make([]byte, 5)
			_, err := io.ReadFull(s, text)
			got <- fmt.Sprint(string(text), err)
		}()
		wrote := make(chan error, 1)
		go func() {
			_, err := far.Write([]byte("hello"))
			wrote <- err
		}()
		synctest.Wait() // until everybody waits
		select {
		case err := <-wrote:
			t.Errorf("it was read all the same: %v", err)
		case text := <-got:
			t.Errorf("it was read all the same: %s", text)
		default:
		}
		s.resumeReading()
		if err := <-wrote; err != nil {
			t.Error(err)
		}
		if text := <-got; text != "hello<nil>" {
			t.Errorf("read %s", text)
		}
		s.stopReading()
		go func() { _ = s.Close() }()
		if _, err := s.Read(make([]byte, 1)); err == nil {
			t.Error("a closed stream can be read")
		}
		_ = far.Close()
	})
}
