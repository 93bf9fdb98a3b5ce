package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/fenfa/fenfa/internal/readable"
)

// strictJSON is protobuf's JSON with the names of the .proto files: unknown
// fields and anything behind the document are errors, and scalars with their
// zero value are shown. Bytes have readable forms beside them.
type strictJSON struct {
	runtime.JSONPb
}

func newStrictJSON() *strictJSON {
	return &strictJSON{runtime.JSONPb{MarshalOptions: protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}}}
}

// Marshal writes a message.
func (j *strictJSON) Marshal(v any) ([]byte, error) {
	b, err := j.JSONPb.Marshal(v)
	if err != nil {
		return nil, err
	}
	if md := descriptorOf(v); md != nil {
		return readable.Add(md, b)
	}
	return b, nil
}

// NewEncoder writes what Marshal makes, for whoever asks for a stream.
func (j *strictJSON) NewEncoder(w io.Writer) runtime.Encoder {
	return runtime.EncoderFunc(func(v any) error {
		b, err := j.Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	})
}

// NewDecoder reads the whole document, so that what follows it is noticed.
func (j *strictJSON) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if b = bytes.TrimSpace(b); len(b) == 0 {
			return io.EOF
		}
		if md := descriptorOf(v); md != nil {
			if b, err = readable.Plain(md, b); err != nil {
				return err
			}
		}
		if err := j.Unmarshal(b, v); err != nil {
			return err
		}
		if !json.Valid(b) {
			return errors.New("there is something behind the end of the JSON document")
		}
		return nil
	})
}

// descriptorOf is the descriptor of a message, or of the message that a pointer
// to one will get; nil: it is neither.
func descriptorOf(v any) protoreflect.MessageDescriptor {
	if m, ok := v.(proto.Message); ok {
		return m.ProtoReflect().Descriptor()
	}
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Pointer {
		return nil
	}
	if m, ok := reflect.TypeAssert[proto.Message](reflect.Zero(t.Elem())); ok {
		return m.ProtoReflect().Descriptor()
	}
	return nil
}
