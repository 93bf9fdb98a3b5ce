package compile_test

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/fenfa/fenfa/internal/openapi/compile"
)

// source is a small API: a thing with fields of many kinds that is in itself, and
// two methods.
const source = `
name: "t.proto" package: "t" syntax: "proto3"
message_type {
  name: "Thing"
  field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "name" }
  field { name: "big" number: 2 type: TYPE_UINT64 label: LABEL_OPTIONAL json_name: "big" }
  field { name: "data" number: 3 type: TYPE_BYTES label: LABEL_OPTIONAL json_name: "data" }
  field { name: "inner" number: 4 type: TYPE_MESSAGE type_name: ".t.Thing" label: LABEL_REPEATED json_name: "inner" }
  field { name: "kind" number: 5 type: TYPE_ENUM type_name: ".t.Thing.Kind" label: LABEL_OPTIONAL json_name: "kind" }
  enum_type { name: "Kind" value { name: "KIND_A" number: 0 } value { name: "KIND_B" number: 1 } }
}
message_type {
  name: "PutRequest"
  field { name: "thing" number: 1 type: TYPE_MESSAGE type_name: ".t.Thing" label: LABEL_OPTIONAL json_name: "thing" }
  field { name: "name" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "name" }
}
message_type {
  name: "ListRequest"
  field { name: "most" number: 1 type: TYPE_UINT32 label: LABEL_OPTIONAL json_name: "most" }
  field { name: "like" number: 2 type: TYPE_MESSAGE type_name: ".t.Thing" label: LABEL_OPTIONAL json_name: "like" }
}
service {
  name: "ThingService"
  method { name: "Put" input_type: ".t.PutRequest" output_type: ".t.Thing" }
  method { name: "List" input_type: ".t.ListRequest" output_type: ".t.Thing" }
}
source_code_info {
  location { path: [6, 0, 2, 0] span: [0, 0, 0] leading_comments: " Put makes a thing.\n It is kept.\n" }
  location { path: [4, 0, 2, 1] span: [0, 0, 0] leading_comments: " Output only: how big\n it is.\n" }
  location { path: [4, 0, 4, 0, 2, 1] span: [0, 0, 0] trailing_comments: " the other one\n" }
}`

const head = "type: google.api.Service\nconfig_version: 3\nhttp:\n  rules:\n"

func compiled(t *testing.T, routes string) (*compile.Document, error) {
	t.Helper()
	var file descriptorpb.FileDescriptorProto
	if err := prototext.Unmarshal([]byte(source), &file); err != nil {
		t.Fatal(err)
	}
	fd, err := protodesc.NewFile(&file, nil)
	if err != nil {
		t.Fatal(err)
	}
	read, err := compile.ReadRoutes([]byte(head+routes), false)
	if err != nil {
		return nil, err
	}
	return compile.Compile([]protoreflect.FileDescriptor{fd}, read)
}

func TestADocumentSaysWhatTheNodeDoes(t *testing.T) {
	doc, err := compiled(t, `
    - selector: t.ThingService.Put
      put: /v1/things/{thing.name}/{name}
      body: "*"
    - selector: t.ThingService.List
      get: /v1/things
`)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for what, want := range map[string]string{
		"a path with two fields of one name":       `"/v1/things/{thing_name}/{name}"`,
		"a summary without the name of the method": `"summary":"Makes a thing","description":"It is kept."`,
		"an operation":                            `"operationId":"thingPut"`,
		"a method without words":                  `"summary":"List of things"`,
		"a field of answers, a number of 64 bits": `"big":{"type":"string","format":"uint64","description":"How big it is.","pattern":"^[0-9]{1,20}$","readOnly":true}`,
		"bytes":            `"data":{"type":"string","format":"byte"}`,
		"bytes as JSON":    `"data_json":{"description":"Any JSON document`,
		"a list of itself": `"inner":{"type":"array","items":{"$ref":"#/components/schemas/Thing"}}`,
		"an enum by name, with the words of its values": `"ThingKind":{"type":"string","description":"- KIND_B: the other one","enum":["KIND_A","KIND_B"]}`,
		"a parameter of the query":                      `{"name":"most","in":"query","schema":{"type":"integer","format":"uint32","minimum":0,"maximum":4294967295}}`,
		"a refusal of unknown fields":                   `"additionalProperties":false`,
		"an error":                                      `"409":{"$ref":"#/components/responses/Conflict"}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s: %s is not in the document", what, want)
		}
	}
	if strings.Contains(text, `"name":"like"`) {
		t.Error("a message is a parameter of the query")
	}
}

func TestWrongRoutesAreRefused(t *testing.T) {
	for want, routes := range map[string]string{
		"there is no method t.ThingService.Get": "    - selector: t.ThingService.Get\n      get: /v1/things\n",
		"there is no field thing.colour":        "    - selector: t.ThingService.Put\n      put: /v1/{thing.colour}\n      body: \"*\"\n",
		"leads through what is no message":      "    - selector: t.ThingService.Put\n      put: /v1/{name.first}\n",
		"the body name is no message":           "    - selector: t.ThingService.Put\n      put: /v1/things\n      body: name\n",
		"has no path":                           "    - selector: t.ThingService.Put\n",
		"has two methods in one rule":           "    - selector: t.ThingService.Put\n      put: /v1/a\n      post: /v1/a\n",
		"is there twice":                        "    - selector: t.ThingService.List\n      get: /v1/a\n      additional_bindings:\n        - get: /v1/a\n",
		"field getter not found":                "    - selector: t.ThingService.List\n      getter: /v1/a\n",
	} {
		if _, err := compiled(t, routes); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
