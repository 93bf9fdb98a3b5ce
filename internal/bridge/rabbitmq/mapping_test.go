package rabbitmq

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa"
)

func TestValuesOfHeadersBecomeText(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	for _, tc := range []struct {
		value any
		want  string
	}{
		{nil, ""},
		{"text", "text"},
		{"", ""},
		{[]byte("bytes"), "bytes"},
		{true, "true"},
		{false, "false"},
		{int8(-1), "-1"},
		{uint8(200), "200"},
		{int16(-300), "-300"},
		{uint16(60000), "60000"},
		{int32(-5), "-5"},
		{uint32(5), "5"},
		{int64(1 << 60), "1152921504606846976"},
		{float32(0.5), "0.5"},
		{1e100, "1e+100"},
		{amqp.Decimal{Scale: 2, Value: 12345}, "123.45"},
		{at, "2026-01-02T02:04:05Z"},
		{amqp.Table{"b": int32(1), "a": []any{"x", true, nil}}, `{"a":["x",true,null],"b":1}`},
		{[]any{amqp.Table{"queue": "q", "count": int64(2), "time": at}}, `[{"count":2,"queue":"q","time":"2026-01-02T02:04:05Z"}]`},
	} {
		if got, err := textOf(tc.value); err != nil || got != tc.want {
			t.Errorf("%#v is %q (%v), want %q", tc.value, got, err, tc.want)
		}
	}
	for _, value := range []any{"\xff", []byte{0xc3}} {
		if _, err := textOf(value); !errors.Is(err, errNotText) {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestMembersOfJSON(t *testing.T) {
	const document = `{"id":7,"big":12345678901234567890,"customer":{"id":"c-1","vip":true,"tags":["a"],"none":null}}`
	for path, want := range map[string]string{
		"id": "7", "big": "12345678901234567890", "customer.id": "c-1", "customer.vip": "true",
		"customer": "", "customer.tags": "", "customer.none": "", "missing": "", "customer.id.deeper": "", "missing.deeper": "",
	} {
		if got := member([]byte(document), path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	for _, document := range []string{"", "no JSON", "[1]", `"id"`} {
		if got := member([]byte(document), "id"); got != "" {
			t.Errorf("the id in %q is %q", document, got)
		}
	}
}

func TestPropertiesBecomeHeaders(t *testing.T) {
	p := &mapping{vhost: "/", queue: "q", to: "orders", id: IDAuto}
	m, err := p.message(amqp.Delivery{
		Headers:     amqp.Table{"own": int32(1), "amqp-reply-to": "forged", headerDeliveryCount: int64(3), headerAcquiredCount: int64(4)},
		ContentType: "text/plain", ContentEncoding: "gzip", Priority: 9, CorrelationId: "c", ReplyTo: "r", Expiration: "1500", MessageId: "m",
		Timestamp: time.Unix(1_800_000_000, 0), Type: "kind", UserId: "u", AppId: "a", Exchange: "x", RoutingKey: "k", Body: []byte("body"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"own": "1", "amqp-content-type": "text/plain", "amqp-content-encoding": "gzip", "amqp-priority": "9", "amqp-correlation-id": "c", "amqp-reply-to": "r",
		"amqp-expiration": "1500", "amqp-message-id": "m", "amqp-timestamp": "2027-01-15T08:00:00Z", "amqp-type": "kind", "amqp-user-id": "u", "amqp-app-id": "a",
		"amqp-exchange": "x", "amqp-routing-key": "k",
	}
	if got := m.task.Headers(); !maps.Equal(got, want) {
		t.Errorf("headers are %v, want %v", got, want)
	}
	if m.task.Queue() != "orders" || m.task.Type() != "kind" || m.task.Key() != "" || string(m.task.Payload()) != "body" {
		t.Errorf("the task is %s %s %s %s", m.task.Queue(), m.task.Type(), m.task.Key(), m.task.Payload())
	}
	if m.task.ID() != fenfa.DeriveID("rabbitmq", "/", "q", "message-id", "m") {
		t.Error("the id is not that of the message-id")
	}
}

func TestKeyAndTypeComeFromWhereTheRulesSay(t *testing.T) {
	d := amqp.Delivery{Headers: amqp.Table{"customer": int64(42), "kind": "paid"}, RoutingKey: "route", Type: "property", Body: []byte(`{"customer":{"id":"c-1"}}`)}
	for _, tc := range []struct {
		mapping   mapping
		key, kind string
	}{
		{mapping{}, "", "property"},
		{mapping{key: KeyRule{Header: "customer"}, typeHeader: "kind"}, "42", "paid"},
		{mapping{key: KeyRule{Header: "missing"}, typeHeader: "missing"}, "", ""},
		{mapping{key: KeyRule{Routing: true}}, "route", "property"},
		{mapping{key: KeyRule{JSON: "customer.id"}}, "c-1", "property"},
	} {
		m, err := tc.mapping.message(d)
		if err != nil || m.task.Key() != tc.key || m.key != tc.key || m.task.Type() != tc.kind {
			t.Errorf("%+v: key %q, type %q, %v", tc.mapping, m.task.Key(), m.task.Type(), err)
		}
	}
}

func TestIDsAreTheSameForTheSameMessageOnly(t *testing.T) {
	base := amqp.Delivery{MessageId: "m", Body: []byte("b"), Headers: amqp.Table{"h": "1"}, RoutingKey: "k"}
	again := base
	again.Redelivered, again.DeliveryTag, again.Headers = true, 7, amqp.Table{"h": "1", headerDeliveryCount: int64(1)}
	change := func(f func(*amqp.Delivery)) amqp.Delivery {
		d := base
		f(&d)
		return d
	}
	id := func(rule IDRule, d amqp.Delivery) fenfa.ID {
		p := mapping{queue: "q", id: rule}
		m, err := p.message(d)
		if err != nil {
			t.Fatal(err)
		}
		return m.task.ID()
	}
	for _, rule := range []IDRule{IDAuto, IDMessage, IDContent} {
		if id(rule, base) != id(rule, again) {
			t.Errorf("%s: another id when delivered again", rule)
		}
	}
	if first := id(IDRandom, base); first == id(IDRandom, base) {
		t.Error("random: the same id twice")
	}
	otherBody := change(func(d *amqp.Delivery) { d.Body = []byte("c") })
	if id(IDAuto, base) != id(IDAuto, otherBody) || id(IDContent, base) == id(IDContent, otherBody) {
		t.Error("the body is part of the id where there is a message-id, or none where there is not")
	}
	for name, d := range map[string]amqp.Delivery{
		"body": otherBody, "header": change(func(d *amqp.Delivery) { d.Headers = amqp.Table{"h": "2"} }),
		"message-id": change(func(d *amqp.Delivery) { d.MessageId = "" }), "routing key": change(func(d *amqp.Delivery) { d.RoutingKey = "l" }),
	} {
		if id(IDContent, base) == id(IDContent, d) {
			t.Errorf("content: another %s and the same id", name)
		}
	}
	p := mapping{queue: "q", id: IDMessage}
	if _, err := p.message(change(func(d *amqp.Delivery) { d.MessageId = "" })); !errors.Is(err, errNoMessageID) {
		t.Errorf("without message-id: %v", err)
	}
	other := mapping{queue: "r", id: IDMessage}
	if m, _ := other.message(base); m.task.ID() == id(IDMessage, base) {
		t.Error("messages of two queues have the same id")
	}
}

func TestAnExpirationCountsFromTheTimestamp(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	for name, tc := range map[string]struct {
		expiration string
		timestamp  time.Time
		want       time.Time
	}{
		"both":                {"1500", at, at.Add(1500 * time.Millisecond)},
		"at once":             {"0", at, at},
		"no timestamp":        {"1500", time.Time{}, time.Time{}},
		"no expiration":       {"", at, time.Time{}},
		"no number":           {"soon", at, time.Time{}},
		"negative":            {"-1", at, time.Time{}},
		"never ends":          {"9223372036854775807", at, time.Time{}},
		"timestamp of others": {"1500", time.Unix(1_800_000_000_000, 0), time.Time{}},
	} {
		got, ok := expiryOf(&amqp.Delivery{Expiration: tc.expiration, Timestamp: tc.timestamp})
		if ok != !tc.want.IsZero() || !got.Equal(tc.want) {
			t.Errorf("%s: %v %v, want %v", name, got, ok, tc.want)
		}
	}
}

func TestAHeaderThatIsNotTextRefusesTheMessage(t *testing.T) {
	p := mapping{queue: "q", id: IDAuto}
	if _, err := p.message(amqp.Delivery{Headers: amqp.Table{"h": "\xff"}}); err == nil || !strings.Contains(err.Error(), `"h"`) {
		t.Errorf("got %v", err)
	}
}
