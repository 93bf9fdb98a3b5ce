package sagafile_test

import (
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/sagafile"
)

const whole = `
name: order
deadline: 10m
retention: 48h
steps:
  - name: reserve
    queue: stock
    key: ${input.sku}
    type: reserve-stock
    payload: {sku: "${input.sku}", n: "${input.n}", tags: [1, true, null]}
    retry: {base: 2s, factor: 3, max: 1m, max_attempts: 5}
    timeout: 10s
    on_dead: halt
    compensation:
      queue: stock-undo
      type: release
      payload: {was: "${results.reserve.id}"}
      retry: {max_attempts: 7}
      timeout: 20s
      when: tried
  - parallel:
      - {name: pay, queue: payment, compensation: }
      - {name: label, queue: shipping}
`

func TestAWholeDefinitionIsRead(t *testing.T) {
	d, err := sagafile.Read("order.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"order","deadline":"10m0s","retention":"48h0m0s","stages":[` +
		`[{"name":"reserve","queue":"stock","key":"${input.sku}","type":"reserve-stock",` +
		`"payload":{"n":"${input.n}","sku":"${input.sku}","tags":[1,true,null]},` +
		`"retry":{"base":"2s","factor":3,"max":"1m0s","max_attempts":5},"timeout":"10s","on_dead":"halt",` +
		`"compensation":{"queue":"stock-undo","type":"release","payload":{"was":"${results.reserve.id}"},"retry":{"max_attempts":7},"timeout":"20s","when":"tried"}}],` +
		`[{"name":"pay","queue":"payment","compensation":{}},{"name":"label","queue":"shipping"}]]}`
	if string(got) != want {
		t.Errorf("read as\n%s\nwant\n%s", got, want)
	}
}

func TestSlipsAreNamedWithTheirLine(t *testing.T) {
	for _, tc := range []struct{ name, from, to, says string }{
		{"key of a saga", "deadline:", "dedline:", `order.yaml:3: a saga has no key "dedline": did you mean "deadline"?`},
		{"key of a step", "    queue: stock\n", "    quue: stock\n", `order.yaml:7: a step has no key "quue": did you mean "queue"?`},
		{"key of a compensation", "      when: tried", "      wen: tried", `a compensation has no key "wen": did you mean "when"?`},
		{"key of retry", "factor", "facto", `retry has no key "facto": did you mean "factor"?`},
		{"key that is like none", "    timeout: 10s", "    colour: red", `order.yaml:12: a step has no key "colour"`},
		{"twice", "    timeout: 10s", "    name: again", `order.yaml:12: "name" is set twice`},
		{"duration", "10m", "ten", `order.yaml:3: "ten" is not a duration`},
		{"number", "max_attempts: 5", "max_attempts: few", `max_attempts is "few": want a whole number`},
		{"factor", "factor: 3", "factor: x", `factor is "x": want a number`},
		{"list", "  - parallel:\n", "  - parallel: {}\n  - parallel:\n", "parallel is a list"},
		{"group in a step", "    on_dead: halt", "    parallel: []", "stands alone"},
		{"value", "    queue: stock\n", "    queue: [a]\n", "want one value"},
		{"what is not valid", "on_dead: halt", "on_dead: stop", `on_dead "stop" is not known`},
		{"payload", "{was:", "{1: 2, was:", "cannot be JSON"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if !strings.Contains(whole, tc.from) {
				t.Fatalf("there is no %q to change", tc.from)
			}
			_, err := sagafile.Read("order.yaml", []byte(strings.Replace(whole, tc.from, tc.to, 1)))
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v\nwant an error that says %s", err, tc.says)
			}
		})
	}
}

func TestWhatIsNoDefinitionIsRefused(t *testing.T) {
	for content, says := range map[string]string{
		"":              "no definition",
		"- a":           "want a saga",
		"a: b\n---\nc:": "second document",
		"\t":            "order.yaml",
		"name: x":       "0 steps",
	} {
		if _, err := sagafile.Read("order.yaml", []byte(content)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want an error that says %q", content, err, says)
		}
	}
}
