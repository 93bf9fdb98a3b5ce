package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestTheBrokerFlagNamesABroker(t *testing.T) {
	env := func(string) string { return "amqp://from-env" }
	for text, want := range map[string]struct {
		rabbitmq      bool
		address, show string
	}{
		"embedded":                       {false, "", "embedded"},
		"rabbitmq":                       {true, "amqp://from-env", "rabbitmq"},
		"rabbitmq=amqp://u:pa55@h:1,i/v": {true, "amqp://u:pa55@h:1,i/v", "rabbitmq=amqp://u:[redacted]@h:1,i/v"},
		"rabbitmq=amqps://h?a=b":         {true, "amqps://h?a=b", "rabbitmq=amqps://h?a=b"},
	} {
		var b brokerFlag
		if err := b.Set(text); err != nil || b.check() != nil {
			t.Errorf("%s: %v, %v", text, err, b.check())
		}
		if b.rabbitmq != want.rabbitmq || b.address(env) != want.address || b.String() != want.show {
			t.Errorf("%s: got %v %s %s", text, b.rabbitmq, b.address(env), b.String())
		}
	}
	var none brokerFlag
	if none.check() != nil || none.String() != "embedded" || none.address(env) != "" {
		t.Errorf("without the flag: %v", none.String())
	}
}

func TestWhatIsNoBrokerIsRefusedWithoutItsPassword(t *testing.T) {
	for _, text := range []string{"", "kafka", "rabbitmq=http://u:pa55@h", "rabbitmq=u:pa55@h", "embedded=amqp://u:pa55@h", "amqp://u:pa55@h"} {
		for _, command := range [][]string{{"demo"}, {"bench", "drain"}} {
			code, stdout, stderr := process(t, "", append(command, "--broker", text)...)
			if code != exitUsage || !strings.Contains(stderr, "--broker") || strings.Contains(fmt.Sprint(stdout, stderr), "pa55") {
				t.Errorf("%v --broker %q: exit code %d, %s%s", command, text, code, stdout, stderr)
			}
		}
	}
}
