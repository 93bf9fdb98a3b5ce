package saga

import (
	"strings"
	"testing"
)

func testScope() *scope {
	return &scope{
		saga:  map[string]any{"id": "s1", "name": "order"},
		input: []byte(`{"sku":"A-1","n":2,"big":12345678901234567890,"ok":true,"tags":["x",{"y":null}],"place":"${input.sku}"}`),
		results: func(step string) ([]byte, bool) {
			return map[string][]byte{"pay": []byte(`{"receipt":"r9"}`), "raw": []byte("not JSON")}[step], step == "pay" || step == "raw"
		},
	}
}

func TestTextTemplates(t *testing.T) {
	for template, want := range map[string]string{
		"":                                "",
		"plain":                           "plain",
		"${input.sku}":                    "A-1",
		"${saga.name}/${saga.id}":         "order/s1",
		"n=${input.n}, ok=${ input.ok }.": "n=2, ok=true.",
		"${input.big}":                    "12345678901234567890",
		"${input.tags.0}":                 "x",
		"${results.pay.receipt}":          "r9",
		"$${input.sku} costs $5":          "${input.sku} costs $5",
		"${input.place}":                  "${input.sku}", // what is filled in is not read again
	} {
		if got, err := testScope().text(template); err != nil || got != want {
			t.Errorf("%q becomes %q (%v), want %q", template, got, err, want)
		}
	}
}

func TestTextTemplatesThatCannotBeFilledInSayWhy(t *testing.T) {
	for template, says := range map[string]string{
		"${input.none}":     `no "none"`,
		"${input.tags.7}":   `no element "7"`,
		"${input.tags.x}":   `no element "x"`,
		"${input.sku.more}": `no "more"`,
		"${input.tags}":     "not text or a number",
		"${results.ship}":   `"ship" has no result`,
		"${results.raw.x}":  "not JSON",
		"${input.sku":       "does not end",
		"${}":               "not a path",
	} {
		if got, err := testScope().text(template); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q becomes %q (%v), want an error that says %q", template, got, err, says)
		}
	}
	s := testScope()
	s.input = []byte("not JSON")
	if _, err := s.text("${input.x}"); err == nil || !strings.Contains(err.Error(), "input is not JSON") {
		t.Errorf("a path into an input that is not JSON: %v", err)
	}
}

func TestPayloadTemplates(t *testing.T) {
	for template, want := range map[string]string{
		`{"sku":"${input.sku}","n":"${input.n}","of":"${saga.id}: ${input.n}","k":7}`: `{"k":7,"n":2,"of":"s1: 2","sku":"A-1"}`,
		`["${input.tags}","${results.pay}"]`:                                          `[["x",{"y":null}],{"receipt":"r9"}]`,
		`"${input.big}"`:                                                              `12345678901234567890`,
		`null`:                                                                        `null`,
	} {
		got, err := testScope().payload([]byte(template))
		if err != nil || string(got) != want {
			t.Errorf("%s becomes %s (%v), want %s", template, got, err, want)
		}
	}
	if got, err := testScope().payload(nil); err != nil || string(got) != string(testScope().input) {
		t.Errorf("no template becomes %s (%v), want the input", got, err)
	}
	if _, err := testScope().payload([]byte(`{"a":["${input.none}"]}`)); err == nil {
		t.Error("a place that is not there was filled in")
	}
}

func TestTemplatesAreCheckedBeforeTheyAreUsed(t *testing.T) {
	known := map[string]bool{"pay": true}
	for template, says := range map[string]string{
		"${inputs.sku}":    "begins with input, results or saga",
		"${saga.version}":  "${saga.id} and ${saga.name}",
		"${results.ship}":  "not the result of an earlier step",
		"${results}":       "not the result of an earlier step",
		"${results.pay.x}": "",
		"${input}":         "",
		"${open":           "does not end",
	} {
		for what, err := range map[string]error{
			"text": asError(checkTemplate(template, known)), "payload": asError(checkPayload([]byte(`{"a":["`+template+`"]}`), known)),
		} {
			if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
				t.Errorf("%s %q: %v, want %q", what, template, err, says)
			}
		}
	}
	for _, payload := range []string{`{`, `{} {}`, `nothing`} {
		if err := checkPayload([]byte(payload), known); err == nil {
			t.Errorf("payload %q was taken", payload)
		}
	}
}

// asError makes nil of a nil pointer.
func asError[E error](err E) error {
	if any(err) == any(*new(E)) {
		return nil
	}
	return err
}
