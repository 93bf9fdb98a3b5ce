package rabbitmq

import (
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa"
)

func TestATaskBecomesAMessage(t *testing.T) {
	task := fenfa.NewTask("results", "body", fenfa.Key("k"), fenfa.Type("kind"), fenfa.Header("own", "1"),
		fenfa.Header(HeaderContentType, "text/plain"), fenfa.Header(HeaderCorrelationID, "c"), fenfa.Header(HeaderReplyTo, "r"),
		fenfa.Header(HeaderPriority, "7"), fenfa.Header(HeaderAppID, "a"), fenfa.Header(HeaderMessageID, "m"), fenfa.Header("route", "by-header"))
	for _, tc := range []struct {
		route                  Route
		exchange, key, replyTo string
	}{
		{Route{Exchange: "x", Key: "given"}, "x", "given", "r"},
		{Route{Exchange: "x", Header: "route"}, "x", "by-header", "r"},
		{Route{Exchange: "x"}, "x", "", "r"},
		{Route{Reply: true}, "", "r", ""},
	} {
		l, err := tc.route.letterOf(task)
		if err != nil {
			t.Fatal(err)
		}
		m := l.message
		if l.exchange != tc.exchange || l.key != tc.key || m.ReplyTo != tc.replyTo {
			t.Errorf("%+v: exchange %q, key %q, reply-to %q", tc.route, l.exchange, l.key, m.ReplyTo)
		}
		if m.MessageId != task.ID().String() || m.DeliveryMode != amqp.Persistent || m.Type != "kind" || m.ContentType != "text/plain" ||
			m.CorrelationId != "c" || m.Priority != 7 || m.AppId != "a" || string(m.Body) != "body" {
			t.Errorf("the message is %+v", m)
		}
		if len(m.Headers) != 4 || m.Headers["own"] != "1" || m.Headers["route"] != "by-header" || m.Headers[HeaderQueue] != "results" || m.Headers[HeaderKey] != "k" {
			t.Errorf("headers are %v", m.Headers)
		}
	}
}

func TestATaskOfWhichNoMessageCanBeMade(t *testing.T) {
	long := strings.Repeat("x", maxShort+1)
	for name, tc := range map[string]struct {
		route Route
		task  *fenfa.Task
		want  string
	}{
		"no reply-to":         {Route{Reply: true}, fenfa.NewTask("q", nil), HeaderReplyTo},
		"no routing header":   {Route{Header: "route"}, fenfa.NewTask("q", nil), `"route"`},
		"long routing key":    {Route{Header: "route"}, fenfa.NewTask("q", nil, fenfa.Header("route", long)), "routing key"},
		"long correlation id": {Route{Key: "k"}, fenfa.NewTask("q", nil, fenfa.Header(HeaderCorrelationID, long)), HeaderCorrelationID},
		"long type":           {Route{Key: "k"}, fenfa.NewTask("q", nil, fenfa.Type(long)), "type"},
		"long header name":    {Route{Key: "k"}, fenfa.NewTask("q", nil, fenfa.Header(long, "v")), "name of a header"},
	} {
		if _, err := tc.route.letterOf(tc.task); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
