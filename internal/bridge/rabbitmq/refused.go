package rabbitmq

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/fenfa/fenfa"
)

// errKeep says that a refused message could not be written down.
var errKeep = errors.New("write refused message")

// keeper writes refused messages to a file.
type keeper struct {
	path string
	file *os.File
}

// refusedMessage is one line of the file.
type refusedMessage struct {
	At          string            `json:"at"`
	Code        string            `json:"code"`
	Reason      string            `json:"reason"`
	Queue       string            `json:"queue"`
	Exchange    string            `json:"exchange"`
	RoutingKey  string            `json:"routing_key"`
	MessageID   string            `json:"message_id,omitempty"`
	Redelivered bool              `json:"redelivered,omitempty"`
	Properties  map[string]string `json:"properties,omitempty"` // as they would be headers of the task
	Headers     map[string]any    `json:"headers,omitempty"`
	Body        []byte            `json:"body_base64"`
}

// keep appends a message; it is on disk when keep returns.
func (k *keeper) keep(queue string, m *message, reason error) error {
	if k.file == nil {
		file, err := os.OpenFile(k.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("%w: %w", errKeep, err)
		}
		k.file = file
	}
	d := m.delivery
	line := refusedMessage{
		At: time.Now().UTC().Format(time.RFC3339Nano), Code: fenfa.CodeOf(reason).String(), Reason: reason.Error(),
		Queue: queue, Exchange: d.Exchange, RoutingKey: d.RoutingKey, MessageID: d.MessageId, Redelivered: d.Redelivered, Body: d.Body,
	}
	if len(d.Headers) > 0 {
		line.Headers, _ = plain(d.Headers).(map[string]any)
	}
	d.Headers = nil // What is left cannot fail.
	line.Properties, _ = headersOf(&d)
	if !isRefusal(reason) { // Of the bridge itself.
		line.Code = fenfa.CodeInvalidArgument.String()
	}
	text, err := json.Marshal(line)
	if err == nil {
		_, err = k.file.Write(append(text, '\n'))
	}
	if err == nil {
		err = k.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errKeep, err)
	}
	return nil
}

func (k *keeper) close() error {
	if k.file == nil {
		return nil
	}
	if err := k.file.Close(); err != nil {
		return fmt.Errorf("%w: %w", errKeep, err)
	}
	return nil
}

// isRefusal reports whether fenfa refuses the task for good, whoever submits it.
func isRefusal(err error) bool {
	if errors.Is(err, fenfa.ErrUnknownOutcome) {
		return false
	}
	e, ok := errors.AsType[*fenfa.Error](err)
	return ok && (e.Code == fenfa.CodeInvalidArgument || e.Code == fenfa.CodeTooLarge || e.Code == fenfa.CodeAlreadyExists)
}

// explain says what a refusal means that the node cannot explain: a bridge whose
// flags were changed makes another task of a message that was moved before.
func explain(reason error) error {
	if !errors.Is(reason, fenfa.ErrAlreadyExists) {
		return reason
	}
	return fmt.Errorf("%w: a message with this identity was moved before and became another task: it was moved with another --to, --key-* or --type-header, "+
		"or two messages have one message-id; go on with the flags of before, choose another rule for ids (--id), or set the message aside (--on-refused)", reason)
}

// isNoTarget reports whether fenfa takes no task at all for the queue, until a
// person changes something.
func isNoTarget(err error) bool {
	if errors.Is(err, fenfa.ErrUnknownOutcome) {
		return false
	}
	e, ok := errors.AsType[*fenfa.Error](err)
	return ok && (e.Code == fenfa.CodeNotFound || e.Code == fenfa.CodeFailedPrecondition || e.Code == fenfa.CodeUnimplemented)
}
