package broker_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/broker"
)

func TestAPublishErrorIsEachOfItsReasons(t *testing.T) {
	err := error(&broker.PublishError{Failed: map[int]error{
		3: fmt.Errorf("publish: %w", broker.ErrDuplicate),
		7: fmt.Errorf("publish: %w", broker.ErrFull),
	}})
	for _, reason := range []error{broker.ErrDuplicate, broker.ErrFull} {
		if !errors.Is(err, reason) {
			t.Errorf("%v is not %v", err, reason)
		}
	}
	if errors.Is(err, broker.ErrMismatch) {
		t.Errorf("%v is a mismatch too", err)
	}
	if text := err.Error(); !strings.Contains(text, "2 messages") {
		t.Errorf("%q does not say how many messages failed", text)
	}
}

func TestAPublishErrorNamesAMessage(t *testing.T) {
	err := &broker.PublishError{Failed: map[int]error{42: broker.ErrNoQueue}}
	if text := err.Error(); !strings.Contains(text, "42") || !strings.Contains(text, broker.ErrNoQueue.Error()) {
		t.Errorf("%q names neither the message nor the reason", text)
	}
	if text := (&broker.PublishError{}).Error(); !strings.Contains(text, "no message") {
		t.Errorf("an error without failures says %q", text)
	}
}
