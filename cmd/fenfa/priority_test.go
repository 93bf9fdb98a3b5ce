package main

import (
	"testing"

	"github.com/spf13/pflag"

	"github.com/fenfa/fenfa"
)

func TestFlagsOfPrioritiesTakeTheirWordsOnly(t *testing.T) {
	var p fenfa.Priority
	var s fenfa.Switch
	for _, c := range []struct {
		flag pflag.Value
		good []string
		bad  []string
	}{
		{(*priorityFlag)(&p), []string{"low", "high", "normal"}, []string{"", "1", "High", "urgent"}},
		{(*switchFlag)(&s), []string{"on", "off"}, []string{"", "true", "On"}},
	} {
		for _, text := range c.good {
			if err := c.flag.Set(text); err != nil || c.flag.String() != text {
				t.Errorf("%s %q: %q, %v", c.flag.Type(), text, c.flag, err)
			}
		}
		for _, text := range c.bad {
			if err := c.flag.Set(text); err == nil {
				t.Errorf("%s %q is taken", c.flag.Type(), text)
			}
		}
	}
	if p != fenfa.PriorityNormal || s != fenfa.SwitchOff {
		t.Errorf("priority %d, switch %q", p, s)
	}
}
