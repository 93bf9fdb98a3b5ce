package readable_test

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/readable"
)

func descriptor(m proto.Message) protoreflect.MessageDescriptor {
	return m.ProtoReflect().Descriptor()
}

func TestHashesAndListsHaveNoReadableForm(t *testing.T) {
	change := descriptor(&fenfav1.Change{}).Fields()
	if readable.Has(change.ByName("hash")) || !readable.Has(change.ByName("value")) || readable.Has(change.ByName("key")) {
		t.Error("of a change, the value and nothing else has a readable form")
	}
	if readable.In(descriptor(&fenfav1.HealthResponse{})) || !readable.In(descriptor(&fenfav1.ListDeadResponse{})) {
		t.Error("the payload of a dead letter is readable, and nothing of the health is")
	}
}

func TestReadableFormsBecomeBytes(t *testing.T) {
	for doc, want := range map[string]string{
		`{"tasks":[{"queue":"q","payload_json":[1, 2]}]}`:                           `{"tasks":[{"queue":"q","payload":"WzEsMl0="}]}`,
		`{"tasks":[{"payload_text":"a"},{"payload_json":"a"}]}`:                     `{"tasks":[{"payload":"YQ=="},{"payload":"ImEi"}]}`,
		`{"tasks":[{"headers":{"payload_json":"x"},"payload":"YQ=="}]}`:             `{"tasks":[{"headers":{"payload_json":"x"},"payload":"YQ=="}]}`,
		`{"tasks":[{"saga":{"results":[{"value_json":{}}]}}]}`:                      `{"tasks":[{"saga":{"results":[{"value":"e30="}]}}]}`,
		`{"tasks":{"payload_json":1}}`:                                              `{"tasks":{"payload_json":1}}`,
		`{"tasks":[{"payload_json":1}] garbage`:                                     `{"tasks":[{"payload_json":1}] garbage`,
		`{"tasks":[{"key_text":"x"}]}`:                                              `{"tasks":[{"key_text":"x"}]}`,
		`{"tasks":[{"payload_text":null,"key":"k"}]}`:                               `{"tasks":[{"key":"k"}]}`,
		`[{"payload_json":1}]`:                                                      `[{"payload_json":1}]`,
		`{"tasks":[{"created_unix_micros":"1","payload_json":{"payload_json":1}}]}`: `{"tasks":[{"created_unix_micros":"1","payload":"eyJwYXlsb2FkX2pzb24iOjF9"}]}`,
	} {
		got, err := readable.Plain(descriptor(&fenfav1.SubmitRequest{}), []byte(doc))
		if err != nil || string(got) != want {
			t.Errorf("%s became %s, want %s: %v", doc, got, want, err)
		}
	}
}

func TestBytesThatOneCanReadAreShown(t *testing.T) {
	deep := strings.Repeat("[", 101) + strings.Repeat("]", 101)
	for value, want := range map[string]string{
		"":                   `{"value":""}`,
		"\xff\xfe":           `{"value":"//4="}`,
		`{"a": "</script>"}`: `{"value":"eyJhIjogIjwvc2NyaXB0PiJ9","value_json":{"a":"</script>"}}`,
		" 1 ":                `{"value":"IDEg","value_json":1}`,
		"{":                  `{"value":"ew==","value_text":"{"}`,
		"分\x00":              `{"value":"5YiGAA==","value_text":"分\u0000"}`,
		`"[[["`:              `{"value":"Iltbbw==","value_json":"[[["}`,
		`["\"]"]`:            `{"value":"WyJcIl0iXQ==","value_json":["\"]"]}`,
	} {
		doc, err := json.Marshal(map[string][]byte{"value": []byte(value)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := readable.Add(descriptor(&fenfav1.SagaResult{}), doc)
		if want = strings.Replace(want, "Iltbbw==", "IltbWyI=", 1); err != nil || string(got) != want {
			t.Errorf("%q is shown as %s, want %s: %v", value, got, want, err)
		}
	}
	doc, _ := json.Marshal(map[string][]byte{"value": []byte(deep)})
	if got, err := readable.Add(descriptor(&fenfav1.SagaResult{}), doc); err != nil || !strings.Contains(string(got), `"value_text":"[[[`) {
		t.Errorf("a document that is nested too deep is shown as %s: %v", got, err)
	}
}

// FuzzReadableForms checks that what answers show, sent back without the base64,
// are the same bytes, but for the white space of documents.
func FuzzReadableForms(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, "text", "\xff", " [1, 2] ", `"\ud800"`, "null", `{"a":{"a":{}},"a":1}`} {
		f.Add([]byte(seed), seed)
	}
	f.Fuzz(func(t *testing.T, value []byte, key string) {
		m := &fenfav1.TaskStatus{Result: value, Task: &fenfav1.Task{Payload: value}}
		plain, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		shown, err := readable.Add(descriptor(m), plain)
		if err != nil || !json.Valid(shown) {
			t.Fatalf("%s became %s: %v", plain, shown, err)
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(shown, &members); err != nil {
			t.Fatal(err)
		}
		if members["result_json"] != nil || members["result_text"] != nil {
			delete(members, "result")
		}
		delete(members, "task")
		back, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		back, err = readable.Plain(descriptor(m), back)
		if err != nil {
			t.Fatalf("%s cannot be sent back: %v", shown, err)
		}
		var again fenfav1.TaskStatus
		if err := protojson.Unmarshal(back, &again); err != nil {
			t.Fatalf("%s: %v", back, err)
		}
		if want := compact(value); string(compact(again.GetResult())) != string(want) {
			t.Errorf("%q came back as %q", want, again.GetResult())
		}
		// Whatever is sent is refused or passed on, and never breaks.
		if out, err := readable.Plain(descriptor(&fenfav1.SubmitRequest{}), []byte(key)); err == nil && !json.Valid(out) && json.Valid([]byte(key)) {
			t.Errorf("%q became %q", key, out)
		}
	})
}

// compact takes the white space out of a document, and escapes as the encoder of
// the test does.
func compact(value []byte) []byte {
	var v any
	d := json.NewDecoder(strings.NewReader(string(value)))
	d.UseNumber()
	if !json.Valid(value) || d.Decode(&v) != nil {
		return value
	}
	b, err := json.Marshal(v)
	if err != nil {
		return value
	}
	return b
}
